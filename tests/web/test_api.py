"""The API over filled caches: what is read, what a write does to the cluster, and how each refusal reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from odigos_cp.api.application import APPLICATIONS, ApplicationCondition
from odigos_cp.api.builtin import DEPLOYMENTS, NAMESPACES, PODS
from odigos_cp.api.collectors import GROUPS
from odigos_cp.api.configuration import CONFIGURATIONS
from odigos_cp.api.destination import DESTINATIONS
from odigos_cp.api.meta import SYSTEM_NAMESPACE, Key, Unreadable
from odigos_cp.api.source import SOURCES
from odigos_cp.kube import errors
from odigos_cp.web import routes
from odigos_cp.web.app import build_ui_app
from odigos_cp.web.destinations import SECRETS
from odigos_cp.web.events import Hub
from odigos_cp.web.routes import Info
from odigos_cp.web.static import Bundle
from odigos_cp.web.views import TaskView
from tests.builders import (
    HASH,
    application,
    condition,
    configuration,
    destination,
    group,
    namespace,
    pod,
    source,
    workload,
)
from tests.web.fake_cluster import FakeCluster

CART = "/api/sources/shop/Deployment/cart"
SHOP = "/api/sources/shop/Namespace/shop"
ON, OFF = {"instrument": True}, {"instrument": False}
OTLP: dict[str, Any] = {
    "type": "otlp",
    "display": "My Jaeger",
    "signals": ["TRACES"],
    "data": {"OTLP_GRPC_ENDPOINT": "jaeger:4317"},
}
PASSWORD_ALONE = {"OTLP_HTTP_ENDPOINT": "https://vendor.example", "OTLP_HTTP_BASIC_AUTH_PASSWORD": "secret"}


@pytest.fixture
def hub() -> Hub:
    return Hub("boot1")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A namespace with one Deployment, everything synced."""
    monkeypatch.setattr(routes, "SEEN_SECONDS", 0.2)
    return FakeCluster()


@pytest.fixture
async def api(cluster: FakeCluster, hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    info = Info(
        cluster_version="v1.36.2",
        boot="boot1",
        leading=lambda: True,
        tasks=lambda: [TaskView(name="scheduler", running=True, waiting=2)],
    )
    app = build_ui_app(cluster.stores, cluster.client, info, hub=hub, bundle=Bundle({}))
    cluster.fill(NAMESPACES, namespace(), namespace("kube-system"))
    cluster.fill(DEPLOYMENTS, workload(), workload("coredns", "kube-system"))
    cluster.sync_all()
    headers = {"x-odigos-ui": "1", "content-type": "application/json"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000", headers=headers) as client:
        yield client


def problem(answer: httpx.Response, status: int, type_: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json().get("type")) == (status, type_), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["detail"]
    return said


# Reads


async def test_meta_says_who_we_are_and_what_runs(api: httpx.AsyncClient) -> None:
    said = (await api.get("/api/meta")).json()
    assert (said["clusterVersion"], said["leader"], said["boot"]) == ("v1.36.2", True, "boot1")
    assert said["syncedKinds"] == said["kinds"]
    assert (said["tasks"][0]["name"], said["tasks"][0]["waiting"]) == ("scheduler", 2)


async def test_meta_names_what_cannot_be_understood_and_browsers_are_told_fault_54(
    api: httpx.AsyncClient, cluster: FakeCluster, hub: Hub
) -> None:
    before = hub.version("meta")
    where = Key(SYSTEM_NAMESPACE, "jaeger")
    cluster.stores[DESTINATIONS].pass_over(Unreadable(where, "900", why="spec.type is missing"))
    assert hub.version("meta") > before
    said = (await api.get("/api/meta")).json()
    assert said["unreadableCount"] == 1
    assert said["unreadable"] == [
        {
            "kind": "Destination",
            "namespace": SYSTEM_NAMESPACE,
            "name": "jaeger",
            "why": "spec.type is missing",
            "known": False,
            "kubectl": "kubectl edit destinations.odigos.io -n odigos-system jaeger",
        }
    ]


async def test_of_many_that_cannot_be_understood_meta_names_some_and_says_how_many(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    for n in range(100):
        cluster.stores[SOURCES].pass_over(Unreadable(Key("shop", str(n)), str(900 + n), why="spec is missing"))
    said = (await api.get("/api/meta")).json()
    assert (len(said["unreadable"]), said["unreadableCount"]) == (routes.UNREADABLE_SHOWN, 100)


async def test_the_list_has_namespaces_rows_counts_and_a_sentence(api: httpx.AsyncClient) -> None:
    said = (await api.get("/api/sources")).json()
    assert [row["id"] for row in said["items"]] == ["shop/Deployment/cart"]
    assert [(n["name"], n["ignored"]) for n in said["namespaces"]] == [("kube-system", True), ("shop", False)]
    assert said["counts"] == {"notSelected": 1}
    assert said["summary"] == "The one application, cart, has not been chosen yet."


async def test_an_application_is_shown_with_what_every_controller_said(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    done = [condition(link) for link in ApplicationCondition]
    cluster.put(
        APPLICATIONS,
        application(conditions=done, injection={"hash": HASH}, runtimes=[{"container": "app", "language": "java"}]),
    )
    cluster.put(SOURCES, source())
    cluster.put(DEPLOYMENTS, workload(label=HASH))
    cluster.put(PODS, pod(label=HASH, injected=HASH))
    said = (await api.get(CART)).json()
    row = said["application"]
    assert (row["state"], row["languages"], row["podsInjected"]) == ("instrumented", ["java"], 1)
    assert len(said["chain"]) == len(ApplicationCondition)
    assert said["kubectl"] == "kubectl delete sources.odigos.io -n shop deployment-cart"


async def test_the_list_can_be_narrowed(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.put(DEPLOYMENTS, workload("web", "other"))
    assert [r["name"] for r in (await api.get("/api/sources?ns=other")).json()["items"]] == ["web"]
    assert [r["name"] for r in (await api.get("/api/sources?q=CAR")).json()["items"]] == ["cart"]


async def test_what_has_not_changed_is_not_sent_again(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    first = await api.get("/api/sources")
    again = await api.get("/api/sources", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    cluster.put(SOURCES, source())
    changed = await api.get("/api/sources", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.json()["seq"] > first.json()["seq"]


async def test_pods_without_our_marks_change_nothing_on_any_page(
    api: httpx.AsyncClient, cluster: FakeCluster, hub: Hub
) -> None:
    before = hub.seq
    cluster.put(PODS, pod("stranger"))
    assert hub.seq == before
    cluster.put(PODS, pod(label=HASH))
    assert hub.seq == before + 1


async def test_while_the_caches_fill_the_answer_is_to_come_back(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.unsync(PODS)
    answer = await api.get("/api/sources")
    assert "pods" in problem(answer, 503, "syncing")["detail"]
    assert answer.headers["retry-after"] == "2"
    assert (await api.get("/api/meta")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/sources/shop/Deployment/gone",
        "/api/sources/shop/CronJob/cart",
        "/api/sources/shop/Namespace/shop",
        "/api/nothing",
        "/api",
        "/api/sources/..%2f..%2fshop/Deployment/cart",
    ],
)
async def test_what_is_not_there_is_a_problem_in_words(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_method_that_is_not_possible_is_named(api: httpx.AsyncClient) -> None:
    problem(await api.delete("/api/meta"), 405, "method_not_allowed")


async def test_collectors_and_destinations_are_listed(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.put(GROUPS, group(endpoint="odigos-gateway:4317"))
    cluster.put(DESTINATIONS, destination())
    assert (await api.get("/api/collectors")).json()["items"][0]["endpoint"] == "odigos-gateway:4317"
    assert (await api.get("/api/destinations")).json()["items"][0]["display"] == "Jaeger"


async def test_a_large_list_is_sent_compressed(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.fill(DEPLOYMENTS, *(workload(f"app-{n}") for n in range(200)))
    answer = await api.get("/api/sources")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["items"]) == 200


# The switch


async def test_switching_on_writes_the_source(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    answer = await api.put(CART, json=ON)
    assert (answer.status_code, answer.json()["accepted"]) == (202, True)
    written = cluster.stores[SOURCES].get(Key("shop", "deployment-cart"))
    assert written is not None
    assert not written.spec.disable_instrumentation
    assert cluster.managers == {"odigos-ui"}


async def test_a_double_click_ends_where_it_began(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    for body in (ON, OFF, ON, OFF):
        assert (await api.put(CART, json=body)).status_code == 202
    assert cluster.stores[SOURCES].get(Key("shop", "deployment-cart")) is None


async def test_switching_on_what_is_on_writes_nothing(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.put(SOURCES, source())
    assert (await api.put(CART, json=ON)).status_code == 202
    assert cluster.requests == []


async def test_a_whole_namespace_is_one_source_and_one_workload_can_be_kept_out(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    await api.put(SHOP, json=ON)
    await api.put(CART, json=OFF)
    found = {s.metadata.name: s.spec.disable_instrumentation for s in cluster.stores[SOURCES].values()}
    assert found == {"namespace-shop": False, "deployment-cart": True}


@pytest.mark.parametrize(
    ("path", "status", "type_"),
    [
        ("/api/sources/shop/Deployment/gone", 404, "not_found"),
        ("/api/sources/gone/Deployment/cart", 404, "not_found"),
        ("/api/sources/kube-system/Deployment/coredns", 409, "ignored"),
        ("/api/sources/kube-system/Namespace/kube-system", 409, "ignored"),
        ("/api/sources/shop/Namespace/other", 400, "target"),
        ("/api/sources/shop/Job/cart", 404, "kind"),
    ],
)
async def test_a_wish_that_cannot_come_true_is_refused_and_nothing_is_written(
    api: httpx.AsyncClient, cluster: FakeCluster, path: str, status: int, type_: str
) -> None:
    assert problem(await api.put(path, json=ON), status, type_)["fix"]
    assert cluster.requests == []


async def test_a_namespace_that_is_going_away_cannot_be_switched_on(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(NAMESPACES, namespace(phase="Terminating"))
    problem(await api.put(CART, json=ON), 409, "terminating")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"instrument": "yes please"}',
        b'{"instrument": true, "instrumnet": true}',
        b'{"instrument": true, "instrument": false}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"instrument": true}\xff',
    ],
    ids=lambda body: body[:30].decode(errors="replace"),
)
async def test_a_bad_body_is_a_problem_and_not_a_fault(
    api: httpx.AsyncClient, cluster: FakeCluster, body: bytes
) -> None:
    problem(await api.put(CART, content=body), 400, "body")
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (errors.Forbidden("cannot patch resource sources", status=403), 403, "RBAC"),
        (errors.Unreachable("connection refused"), 503, "few seconds"),
        (errors.ServerError("etcd is away", status=500), 503, "few seconds"),
        (errors.TooManyRequests("slow down", status=429, retry_after=7.0), 503, "few seconds"),
        (errors.Conflict("changed", status=409), 409, "Reload"),
        (errors.Invalid("spec is wrong", status=422), 422, "Correct"),
        (errors.ApiError("teapot", status=418), 502, "Try again"),
        (TimeoutError(), 503, "few seconds"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_what_the_api_server_refuses_reaches_the_person_with_a_cure(
    api: httpx.AsyncClient, cluster: FakeCluster, error: Exception, status: int, words: str
) -> None:
    cluster.fail_next(error)
    answer = await api.put(CART, json=ON)
    assert answer.status_code == status
    assert words in answer.json()["fix"]


# The plan of a switch


async def test_a_plan_says_which_pods_are_replaced_and_writes_nothing(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(DEPLOYMENTS, workload(replicas=3))
    said = (await api.get(f"{CART}/plan?instrument=true")).json()
    assert said["changes"] == [{"id": "shop/Deployment/cart", "pods": 3}]
    assert (said["changeCount"], said["restartCount"], said["podCount"]) == (1, 1, 3)
    assert "kind: Source" in said["kubectl"]
    assert cluster.requests == []


async def test_the_plan_of_a_namespace_counts_what_is_so_already_and_names_what_is_kept_out(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(DEPLOYMENTS, workload("web"))
    cluster.put(DEPLOYMENTS, workload("vault"))
    cluster.put(SOURCES, source(of="web"))
    cluster.put(SOURCES, source(of="vault", disabled=True))
    said = (await api.get(f"{SHOP}/plan?instrument=true")).json()
    assert [c["id"] for c in said["changes"]] == ["shop/Deployment/cart"]
    assert (said["unchangedCount"], said["keptOut"]) == (1, ["shop/Deployment/vault"])


async def test_taking_back_what_carries_nothing_yet_replaces_no_pod(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.put(SOURCES, source())
    said = (await api.get(f"{CART}/plan?instrument=false")).json()
    assert (said["changeCount"], said["restartCount"], said["podCount"]) == (1, 0, 0)
    cluster.put(DEPLOYMENTS, workload(label=HASH, replicas=2))
    assert (await api.get(f"{CART}/plan?instrument=false")).json()["podCount"] == 2


async def test_a_plan_names_a_bounded_number_of_applications_and_counts_all(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.fill(DEPLOYMENTS, *(workload(f"app-{n}") for n in range(200)))
    said = (await api.get(f"{SHOP}/plan?instrument=true")).json()
    assert (len(said["changes"]), said["changeCount"], said["podCount"]) == (50, 200, 200)


async def test_a_plan_that_another_source_forbids_says_whose(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    pattern = source("everything", of=".*", matchWorkloadNameAsRegex=True)
    cluster.put(SOURCES, pattern)
    said = (await api.get(f"{CART}/plan?instrument=false")).json()
    assert (said["blockedBy"], said["changeCount"], said["keptOut"]) == ("everything", 0, ["shop/Deployment/cart"])


async def test_restarts_by_hand_stand_in_the_plan(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.put(CONFIGURATIONS, configuration(rollout={"automatic": False, "maxConcurrent": 3}))
    said = (await api.get(f"{CART}/plan?instrument=true")).json()
    assert (said["automatic"], said["maxConcurrent"]) == (False, 3)


@pytest.mark.parametrize(
    ("query", "status", "type_"),
    [("", 400, "query"), ("?instrument=perhaps", 400, "query"), ("?instrument=true", 409, "ignored")],
)
async def test_a_plan_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, query: str, status: int, type_: str
) -> None:
    problem(await api.get(f"/api/sources/kube-system/Deployment/coredns/plan{query}"), status, type_)


# Destinations


async def test_the_catalogue_is_offered_with_its_fields(api: httpx.AsyncClient) -> None:
    types = {t["type"]: t for t in (await api.get("/api/destination-types")).json()["items"]}
    assert {"otlp", "otlphttp", "debug"} <= types.keys()
    assert "OTLP_GRPC_ENDPOINT" in [f["name"] for f in types["otlp"]["fields"]]


async def test_a_destination_is_made_with_a_name_from_what_was_typed(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    answer = await api.post("/api/destinations", json=OTLP)
    assert answer.status_code == 202
    name = answer.json()["object"]
    assert name.startswith("my-jaeger-")
    made = cluster.stores[DESTINATIONS].get(Key(SYSTEM_NAMESPACE, name))
    assert made is not None
    assert (made.spec.data, made.spec.secret_ref) == (OTLP["data"], None)


async def test_a_dry_run_says_what_would_be_written_and_writes_nothing(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    answer = await api.post("/api/destinations?dryRun=true", json=WITH_SECRET)
    said = answer.json()
    assert (answer.status_code, said["secretFields"]) == (200, ["OTLP_HTTP_BASIC_AUTH_PASSWORD"])
    assert said["problem"] is None
    assert said["kubectl"].startswith("kubectl apply")
    assert "p$ss" not in answer.text
    assert cluster.requests == []


async def test_a_dry_run_finds_what_is_wrong(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    wrong = OTLP | {"data": {"OTLP_GRPC_ENDPOINT": "http://jaeger:4317/v1/traces"}}
    answer = await api.post("/api/destinations?dryRun=true", json=wrong)
    assert (answer.status_code, answer.json()["problem"]["field"]) == (200, "data.OTLP_GRPC_ENDPOINT")
    await api.post("/api/destinations", json=OTLP)
    answer = await api.post("/api/destinations?dryRun=true", json=OTLP)
    assert (answer.status_code, answer.json()["problem"]["field"]) == (200, "display")


async def test_certificates_and_headers_are_fields_of_many_lines(api: httpx.AsyncClient) -> None:
    types = {t["type"]: t for t in (await api.get("/api/destination-types")).json()["items"]}
    kinds = {f["name"]: f["kind"] for f in types["otlp"]["fields"]}
    assert (kinds["OTLP_GRPC_CA_PEM"], kinds["OTLP_GRPC_HEADERS"]) == ("multiline", "multiline")
    assert kinds["OTLP_GRPC_AUTHORIZATION"] == "secret"


async def test_the_same_name_twice_is_refused_at_its_field(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    await api.post("/api/destinations", json=OTLP)
    said = problem(await api.post("/api/destinations", json=OTLP), 409, "exists")
    assert said["field"] == "display"
    assert len(cluster.requests) == 1


WITH_SECRET = {
    "type": "otlphttp",
    "display": "Vendor",
    "signals": ["TRACES"],
    "data": {
        "OTLP_HTTP_ENDPOINT": "https://vendor.example",
        "OTLP_HTTP_BASIC_AUTH_USERNAME": "me",
        "OTLP_HTTP_BASIC_AUTH_PASSWORD": "p$ss${env:HOME}",
    },
}


async def test_secret_fields_go_into_an_immutable_secret_and_nowhere_else(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    answer = await api.post("/api/destinations", json=WITH_SECRET)
    assert answer.status_code == 202, answer.text
    (secret,) = cluster.secrets.values()
    assert secret["immutable"] is True
    assert secret["stringData"] == {"OTLP_HTTP_BASIC_AUTH_PASSWORD": "p$$ss$${env:HOME}"}
    seen = answer.text + (await api.get("/api/destinations")).text + str(cluster.stores[DESTINATIONS].values())
    assert "p$ss" not in seen
    assert "p$$ss" not in seen
    assert "OTLP_HTTP_BASIC_AUTH_PASSWORD" in (await api.get("/api/destinations")).json()["items"][0]["secretFields"]


async def test_a_try_that_died_after_the_secret_is_finished_by_the_next(
    api: httpx.AsyncClient, cluster: FakeCluster
) -> None:
    cluster.fail_next(errors.ServerError("etcd is away", status=500), on=DESTINATIONS)
    assert (await api.post("/api/destinations", json=WITH_SECRET)).status_code == 503
    assert (await api.post("/api/destinations", json=WITH_SECRET)).status_code == 202
    assert len(cluster.secrets) == 1


async def test_deleting_takes_the_secret_that_was_made_for_it_too(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    name = (await api.post("/api/destinations", json=WITH_SECRET)).json()["object"]
    assert (await api.delete(f"/api/destinations/{name}")).status_code == 202
    assert cluster.secrets == {}
    assert cluster.stores[DESTINATIONS].get(Key(SYSTEM_NAMESPACE, name)) is None
    problem(await api.delete(f"/api/destinations/{name}"), 404, "not_found")


async def test_a_secret_that_the_user_made_is_left_alone(api: httpx.AsyncClient, cluster: FakeCluster) -> None:
    cluster.put(DESTINATIONS, destination(secretRef={"name": "mine"}))
    assert (await api.delete("/api/destinations/jaeger-12345")).status_code == 202
    assert [kind for verb, kind, _ in cluster.requests if verb == "delete"] == [DESTINATIONS]
    assert SECRETS not in [kind for _, kind, _ in cluster.requests]


@pytest.mark.parametrize(
    ("deviation", "field"),
    [
        ({"type": "nope"}, "type"),
        ({"signals": []}, "signals"),
        ({"data": {}}, "data.OTLP_GRPC_ENDPOINT"),
        ({"data": {"OTLP_GRPC_ENDPOINT": "x" * 70_000}}, "data.OTLP_GRPC_ENDPOINT"),
        ({"data": OTLP["data"] | {"OTLP_GRPC_ENDPIONT": "x"}}, "data.OTLP_GRPC_ENDPIONT"),
        ({"display": "x" * 200}, "display"),
        ({"type": "otlphttp", "data": PASSWORD_ALONE}, "data.OTLP_HTTP_BASIC_AUTH_PASSWORD"),
        ({"type": "debug", "data": {"VERBOSITY": "shouting"}}, "data.VERBOSITY"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_written(
    api: httpx.AsyncClient, cluster: FakeCluster, deviation: dict[str, Any], field: str
) -> None:
    said = problem(await api.post("/api/destinations", json=OTLP | deviation), 422, "invalid_field")
    assert said["field"] == field
    assert cluster.requests == []


@pytest.mark.parametrize("display", ["Über ☃", "---", "☃", "A" * 100, "x\ny", ""])
async def test_any_name_a_person_types_gives_a_valid_resource_name(api: httpx.AsyncClient, display: str) -> None:
    name = (await api.post("/api/destinations", json=OTLP | {"display": display})).json()["object"]
    assert len(name) <= 63
    assert all(c.isalnum() or c == "-" for c in name)
    assert name.isascii()
    assert not name.startswith("-")
