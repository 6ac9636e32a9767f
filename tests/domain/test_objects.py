"""The objects that run the collectors: golden files, and what security and operation ask of any of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml

from odigos_cp.api.builtin import ConfigMap
from odigos_cp.api.collectors import GATEWAY_GROUP, NODE_GROUP, CollectorsGroup, ResourceSizes
from odigos_cp.domain import objects, pipeline, sizing
from odigos_cp.domain.exporters import SecretVariable
from odigos_cp.domain.objects import Collector
from tests import builders
from tests.domain import goldens

COLLECTOR = Collector("otel/opentelemetry-collector-contrib:0.155.0", "/otelcol-contrib")
VARIABLES = (SecretVariable("DST_B__KEY", "b-keys", "KEY"), SecretVariable("DST_A__KEY", "a-keys", "KEY"))
GATEWAY = builders.group()
NODE = builders.group(NODE_GROUP, "node")
HASH = "0123456789"


def deployment(group: CollectorsGroup = GATEWAY, hash_: str = HASH) -> dict[str, Any]:
    return objects.gateway_deployment(group, hash_, VARIABLES, COLLECTOR)


def daemon_set(hash_: str = HASH) -> dict[str, Any]:
    return objects.node_daemon_set(NODE, hash_, COLLECTOR)


def pod_spec(workload: dict[str, Any]) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


BOTH = pytest.mark.parametrize("workload", [deployment(), daemon_set()], ids=["gateway", "node"])


def test_the_objects_are_as_expected() -> None:
    gateway = [
        objects.service_account(GATEWAY),
        objects.gateway_service(GATEWAY),
        deployment(),
    ]
    node = [objects.service_account(NODE), daemon_set()]
    for name, bodies in (("gateway", gateway), ("node", node)):
        text = yaml.safe_dump_all(bodies, sort_keys=False, width=120)
        goldens.check(goldens.GOLDEN / "objects" / f"{name}.yaml", text)


def test_a_config_map_holds_the_text_and_its_variables_and_comes_back_as_written() -> None:
    wish = builders.destination(secretRef={"name": "keys"})
    rendered = pipeline.render_gateway([wish], ResourceSizes())
    body = objects.config_map(GATEWAY, rendered)
    assert body["metadata"]["name"] == f"{GATEWAY_GROUP}-{rendered.hash}"
    assert body["immutable"] is True
    assert body["data"]["collector.yaml"] == rendered.text
    found = msgspec.convert(json.loads(json.dumps(body)), ConfigMap)
    assert objects.variables_of(found) == rendered.variables


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "X"}]', '{"a": 1}', "null"])
def test_a_config_map_that_somebody_else_wrote_in_our_name_names_no_variables(text: str) -> None:
    assert objects.variables_of(builders.config_map("odigos-gateway-x", {"variables.json": text})) == ()


def test_everything_goes_with_its_group() -> None:
    bodies = [objects.service_account(GATEWAY), objects.gateway_service(GATEWAY), deployment(), daemon_set()]
    for body in bodies:
        (owner,) = body["metadata"]["ownerReferences"]
        assert owner["kind"] == "CollectorsGroup"
        assert owner["uid"] == f"uid-odigos-system-{owner['name']}"
        assert body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "odigos-cp"


@BOTH
def test_a_new_configuration_is_a_new_template_and_checked_before_it_runs(workload: dict[str, Any]) -> None:
    template = workload["spec"]["template"]
    assert template["metadata"]["annotations"] == {"odigos.io/config-hash": HASH}
    (checking,), (running,) = template["spec"]["initContainers"], template["spec"]["containers"]
    assert checking["command"] == ["/otelcol-contrib", "validate", "--config=/etc/odigos/collector.yaml"]
    alike = ("image", "env", "volumeMounts", "securityContext")
    assert {k: checking[k] for k in alike} == {k: running[k] for k in alike}
    assert {"name": "config", "configMap": {"name": f"{workload['metadata']['name']}-{HASH}"}} in (
        template["spec"]["volumes"]
    )


@BOTH
def test_no_container_can_more_than_it_needs(workload: dict[str, Any]) -> None:
    pod = pod_spec(workload)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}


def test_the_gateway_would_pass_the_restricted_standard() -> None:
    pod = pod_spec(deployment())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {kind for v in pod["volumes"] for kind in v if kind != "name"} == {"configMap", "emptyDir"}
    assert not [p for c in pod["containers"] for p in c["ports"] if "hostPort" in p]


def test_the_node_has_the_two_host_ports_and_its_own_part_of_the_disk() -> None:
    pod = pod_spec(daemon_set())
    (container,) = pod["containers"]
    assert {p["name"]: p["hostPort"] for p in container["ports"] if "hostPort" in p} == {
        "otlp-grpc": 4317,
        "otlp-http": 4318,
    }
    assert {v["name"]: v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v} == {
        "queue": "/var/lib/odigos/queue"
    }
    assert {m["subPathExpr"] for m in container["volumeMounts"] if m["name"] == "queue"} == {"$(NODE_NAME)"}
    assert pod["tolerations"] == [{"operator": "Exists"}]


def test_secrets_come_key_by_key_and_one_that_is_missing_stops_nobody() -> None:
    variables = {e["name"]: e["valueFrom"] for e in pod_spec(deployment())["containers"][0]["env"] if "valueFrom" in e}
    assert variables == {
        "DST_A__KEY": {"secretKeyRef": {"name": "a-keys", "key": "KEY", "optional": True}},
        "DST_B__KEY": {"secretKeyRef": {"name": "b-keys", "key": "KEY", "optional": True}},
    }


def test_the_runtimes_soft_limit_is_between_the_limiter_and_the_container() -> None:
    environment = {e["name"]: e.get("value") for e in pod_spec(deployment())["containers"][0]["env"]}
    memory = sizing.memory(ResourceSizes())
    assert environment["GOMEMLIMIT"] == f"{memory.go_mib}MiB"
    assert memory.limit_mib < memory.go_mib < ResourceSizes().memory_limit_mib


def test_the_order_of_variables_changes_no_template() -> None:
    backwards = objects.gateway_deployment(GATEWAY, HASH, tuple(reversed(VARIABLES)), COLLECTOR)
    assert backwards == deployment()


def test_nothing_that_the_status_says_is_in_an_object() -> None:
    busy = builders.group(replicas=7, configHash="other", endpoint="x:1")
    assert deployment(busy) == deployment()
