"""What a user does with odigos-cp, from the first wish to its end, on a rig: the same each time, under any fault.

Every step is done by an administrator on a way without faults, and then waited for by what can be seen in the cluster.
"""

from __future__ import annotations

import urllib.error
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from odigos_cp.api.meta import INSTRUMENTED_LABEL
from tests.faults.rig import Rig
from tests.waiting import eventually

API = "odigos.io/v1alpha1"
SECONDS = 60.0


@dataclass
class Story:
    """Two namespaces of its own: `system` stands for odigos-system, `shop` has the application."""

    rig: Rig
    system: str = field(default_factory=lambda: f"system-{uuid.uuid4().hex[:6]}")
    shop: str = field(default_factory=lambda: f"shop-{uuid.uuid4().hex[:6]}")
    seconds: float = SECONDS
    check: Callable[[], object] = lambda: None
    """Asked while waiting: raises when waiting is in vain."""

    @property
    def namespaces(self) -> tuple[str, str]:
        return self.system, self.shop

    def prepare(self) -> None:
        for name in self.namespaces:
            self.rig.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            where = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            self.until(lambda where=where: self.get(where), f"the service account of {name}")  # type: ignore[misc]
        self.rig.apply(self.deployment())

    # What the user does

    def add_destination(self, name: str = "debug") -> None:
        spec = {"type": "debug", "destinationName": "Debug", "signals": ["TRACES"]}
        metadata = {"name": name, "namespace": self.system}
        self.rig.apply({"apiVersion": API, "kind": "Destination", "metadata": metadata, "spec": spec})

    def ask(self) -> None:
        workload = {"namespace": self.shop, "kind": "Deployment", "name": "cart"}
        metadata = {"name": "cart", "namespace": self.shop}
        self.rig.apply({"apiVersion": API, "kind": "Source", "metadata": metadata, "spec": {"workload": workload}})

    def take_back(self) -> None:
        self.delete(f"/apis/{API}/namespaces/{self.shop}/sources/cart")

    def deployment(self) -> dict[str, Any]:
        container = {"name": "app", "image": "cart:1", "env": [{"name": "A", "value": "$(B)"}]}
        template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container]}}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": "cart"}}, "template": template}
        metadata = {"name": "cart", "namespace": self.shop}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}

    def end(self) -> None:
        """What is asked for is gone at once: a namespace takes its time, and the next story shall not see to it."""
        for resource in ("sources", "instrumentedapplications"):
            self.delete(f"/apis/{API}/namespaces/{self.shop}/{resource}")
        for name in self.namespaces:
            self.delete(f"/api/v1/namespaces/{name}")

    # What can be seen

    def application(self) -> dict[str, Any]:
        found = self.get(f"/apis/{API}/namespaces/{self.shop}/instrumentedapplications/deployment-cart")
        return dict(found) if found else {}

    def template(self) -> dict[str, Any]:
        found = self.get(f"/apis/apps/v1/namespaces/{self.shop}/deployments/cart")
        return dict(found["spec"]["template"]) if found else {}

    @property
    def label(self) -> str:
        return str(self.template().get("metadata", {}).get("labels", {}).get(INSTRUMENTED_LABEL, ""))

    def says(self, type_: str, status: str) -> bool:
        conditions = self.application().get("status", {}).get("conditions", [])
        return any(c["type"] == type_ and c["status"] == status for c in conditions)

    # The whole of it

    def instrument(self) -> None:
        self.add_destination()
        self.ask()
        self.until(self.is_instrumented, "the application is instrumented")

    def is_instrumented(self) -> bool:
        return bool(self.label) and self.says("AgentEnabled", "True") and self.says("RolledOut", "True")

    def take_back_and_wait(self) -> None:
        self.take_back()
        self.until(lambda: not self.application() and not self.label, "the application is as it was")

    # Parts

    def until(self, look: Callable[[], Any], what: str) -> Any:
        def checked() -> Any:
            self.check()
            try:
                return look()
            except OSError:
                return None

        return eventually(checked, what, self.seconds)

    def get(self, path: str) -> Any:
        """None where there is nothing."""
        try:
            return self.rig.call("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def delete(self, path: str) -> None:
        self.rig.call("DELETE", path)
