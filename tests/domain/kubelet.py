"""What Kubernetes does with a Pod, as far as injection depends on it: JSON patches, and a container's variables."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FIELDS = {
    "status.hostIP": "192.0.2.7",
    "spec.nodeName": "node-1",
    "metadata.name": "cart-6d4f-x2x4z",
    "metadata.uid": "0d2f5a34-5b0e-4c0e-9d8e-1f2a3b4c5d6e",
    "metadata.namespace": "shop",
}


@dataclass(frozen=True)
class Node:
    """Where a container starts: what its image sets, what its envFrom brings, and which keys its ConfigMaps have."""

    image: Mapping[str, str] = field(default_factory=dict)
    env_from: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)

    def environment(self, env: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
        """What the container's process finds."""
        made = dict(self.env_from)
        for variable in env or ():
            name, source = variable["name"], variable.get("valueFrom")
            if variable.get("value") or not source:
                made[name] = expand(variable.get("value") or "", made)
            elif "fieldRef" in source:
                made[name] = FIELDS[source["fieldRef"]["fieldPath"]]
            else:
                reference = source["configMapKeyRef"]
                if reference["key"] in self.config:
                    made[name] = self.config[reference["key"]]
                elif not reference.get("optional"):
                    raise AssertionError(f"the pod does not start: no key {reference['key']}")
        return {**self.image, **made}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """As k8s.io/kubernetes/third_party/forked/golang/expansion: `$$` is `$`, what is not known stays as it stands."""
    out, at = [], 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            out.append(text[at])
            at += 1
        elif text[at + 1] == "$":
            out.append("$")
            at += 2
        elif text[at + 1] == "(" and ")" in text[at + 2 :]:
            end = text.index(")", at + 2)
            name = text[at + 2 : end]
            out.append(variables.get(name, f"$({name})"))
            at = end + 1
        else:
            out.append(text[at : at + 2])
            at += 2
    return "".join(out)


def applied(document: Mapping[str, Any], operations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The document after a JSON patch of `add` operations (RFC 6902)."""
    done = copy.deepcopy(dict(document))
    for operation in operations:
        assert operation["op"] == "add", operation
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target: Any = done
        for part in way:
            target = target[int(part) if isinstance(target, list) else part]
        assert isinstance(target, dict), f"{operation['path']} does not lead into an object"
        target[last] = copy.deepcopy(operation["value"])
    return done
