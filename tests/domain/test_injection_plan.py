"""Which containers get an agent, why the others do not, and when a plan changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odigos_cp.api.application import (
    APPLICATIONS,
    AgentReason,
    ContainerInjection,
    Injection,
    InstrumentedApplication,
)
from odigos_cp.api.builtin import Workload
from odigos_cp.api.meta import find_condition
from odigos_cp.domain import environment, injection, recipes
from odigos_cp.domain.injection import Observed
from odigos_cp.domain.plan import Apply
from tests.builders import application, condition, configuration, group, meta, rule
from tests.domain.kubelet import Node, applied
from tests.domain.test_injection_patch import EXTENDED, VALUES, var

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
IMAGES = {language: f"odigos-cp/agent-{language}:1" for language in recipes.ALL}
GATEWAY = group(receiverSignals=["TRACES", "LOGS"], configHash="abc")
DETECTED = condition("RuntimeDetected", "True", "Detected")


def runtime(language: str = "java", container: str = "app", **deviations: Any) -> dict[str, Any]:
    return {
        "container": container,
        "language": language,
        "version": {"java": "17.0.21", "python": "3.11.7", "nodejs": "20.20.2"}.get(language, ""),
        "envKnown": True,
        "imageID": "sha256:1",
    } | deviations


def template(*containers: str, **env: Sequence[str]) -> Workload:
    """A Deployment with these containers; `env` has the variables that each sets."""
    listed = [{"name": c, "env": [{"name": n} for n in env.get(c, ())]} for c in containers or ("app",)]
    return msgspec.convert(
        {"metadata": meta("cart", "shop"), "spec": {"template": {"spec": {"containers": listed}}}}, Workload
    )


def observed(
    *runtimes: Mapping[str, Any],
    workload: Workload | None = None,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **deviations: Any,
) -> Observed:
    """An application of which all is known; `spec` and `status` say more of it, `deviations` of its surroundings."""
    names = tuple(str(r["container"]) for r in runtimes) or ("app",)
    known: dict[str, Any] = {
        "runtimes": [dict(r) for r in runtimes],
        "detection": {"attempts": 1},
        "collector": {"group": "odigos-gateway"},
    }
    made = application(conditions=[DETECTED], **(known | dict(status or {})))
    if spec:
        made = made.model_copy(update={"spec": made.spec.model_validate(made.spec.wire() | dict(spec))})
    around: dict[str, Any] = {"workload": workload or template(*names), "group": GATEWAY, "images": IMAGES}
    return Observed(made, **(around | deviations))


def after(seen: Observed, now: datetime = NOW) -> Observed:
    """The world once the plan is carried out."""
    for write in injection.plan(seen, now).writes:
        assert isinstance(write, Apply)
        status = seen.application.status.wire()
        status.pop("injection", None)
        others = [c for c in status["conditions"] if c["type"] != "AgentEnabled"]
        status |= dict(write.body["status"]) | {"conditions": others + list(write.body["status"]["conditions"])}
        body = seen.application.model_dump(by_alias=True, mode="json") | {"status": status}
        seen = replace(seen, application=InstrumentedApplication.model_validate(body))
    return seen


def with_status(seen: Observed, **status: Any) -> Observed:
    """The same, and another part of the status."""
    body = seen.application.model_dump(by_alias=True, mode="json")
    body["status"] |= status
    return replace(seen, application=InstrumentedApplication.model_validate(body))


def decided(seen: Observed) -> Injection:
    found = after(seen).application.status.injection
    assert found is not None
    return found


def hash_of(seen: Observed) -> str:
    return decided(seen).hash


def said(seen: Observed) -> tuple[str, str, str]:
    found = find_condition(after(seen).application.status.conditions, "AgentEnabled")
    assert found is not None
    return found.status, found.reason, found.message


def values(container: ContainerInjection) -> dict[str, str]:
    return {edit.name: edit.value for edit in container.env}


# --- what an agent gets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", recipes.ALL)
def test_a_known_language_gets_its_agent(language: str) -> None:
    plan = decided(observed(runtime(language)))
    (app,) = plan.containers
    assert (app.method, app.agent, app.image) == ("agent", f"{language}-opentelemetry", IMAGES[language])
    assert (app.language, app.reason) == (language, AgentReason.ENABLED)
    assert len(plan.hash) == injection.HASH_DIGITS
    status, reason, message = said(observed(runtime(language)))
    assert (status, reason) == ("True", "Enabled")
    assert f"gets {language}-opentelemetry" in message


def test_the_variables_say_where_to_send_what_and_who_sends_it() -> None:
    (app,) = decided(observed(runtime(), spec={"serviceName": "Mein Wagen, 100 %"})).containers
    env = values(app)
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://$(ODIGOS_NODE_IP):4318"
    assert env["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert [env[f"OTEL_{s}_EXPORTER"] for s in ("TRACES", "METRICS", "LOGS")] == ["otlp", "none", "otlp"]
    assert env["OTEL_PROPAGATORS"] == "tracecontext,baggage"
    assert "OTEL_TRACES_SAMPLER" not in env
    assert env["OTEL_RESOURCE_ATTRIBUTES"].split(",") == [
        "service.name=Mein%20Wagen%2C%20100%20%25",
        "k8s.namespace.name=shop",
        "k8s.deployment.name=cart",
        "k8s.container.name=app",
        "k8s.pod.name=$(ODIGOS_POD_NAME)",
        "k8s.pod.uid=$(ODIGOS_POD_UID)",
        "k8s.node.name=$(ODIGOS_NODE_NAME)",
    ]
    assert app.env[-1].name == "OTEL_RESOURCE_ATTRIBUTES"


def test_the_workloads_name_is_the_services_name_if_nothing_else_is_said() -> None:
    (app,) = decided(observed(runtime())).containers
    assert "service.name=cart," in values(app)["OTEL_RESOURCE_ATTRIBUTES"]


def test_only_java_counts_its_timeout_in_the_variable() -> None:
    """The entries of the others do it themselves: their SDKs read it differently."""
    timeouts = {lang: values(decided(observed(runtime(lang))).containers[0]) for lang in recipes.ALL}
    assert {lang: env.get("OTEL_EXPORTER_OTLP_TIMEOUT") for lang, env in timeouts.items()} == {
        "java": "2000",
        "python": None,
        "nodejs": None,
    }


def test_an_address_of_ipv6_is_put_in_brackets() -> None:
    (app,) = decided(observed(runtime(), ipv6=True)).containers
    assert values(app)["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://[$(ODIGOS_NODE_IP)]:4318"


def test_rules_set_the_ratio_and_settings_and_a_dollar_stays_one() -> None:
    rules = (rule("half", sampling={"ratio": 0.5}), rule("more", env={"OTEL_BSP_SCHEDULE_DELAY": "$(A)1000"}))
    seen = observed(runtime(), rules=rules)
    (app,) = decided(seen).containers
    env = values(app)
    assert (env["OTEL_TRACES_SAMPLER"], env["OTEL_TRACES_SAMPLER_ARG"]) == ("parentbased_traceidratio", "0.5")
    assert env["OTEL_BSP_SCHEDULE_DELAY"] == "$$(A)1000"
    assert hash_of(seen) != hash_of(observed(runtime()))


@pytest.mark.parametrize(
    ("ratio", "text"), [(0, "0"), (1, "1"), (0.1, "0.1"), (0.00001, "0.00001"), (1 / 3, "0.333333333")]
)
def test_a_ratio_is_written_as_every_sdk_reads_it(ratio: float, text: str) -> None:
    (app,) = decided(observed(runtime(), rules=(rule("r", sampling={"ratio": ratio}),))).containers
    assert values(app)["OTEL_TRACES_SAMPLER_ARG"] == text


def test_what_a_plan_decides_arrives_in_a_pod() -> None:
    pod = {"metadata": {}, "spec": {"containers": [{"name": "app"}]}}
    seen = observed(runtime(env={"JAVA_TOOL_OPTIONS": "-Xmx96m"}))
    patched = injection.patch(pod, decided(seen))
    env = Node().environment(applied(pod, patched.operations)["spec"]["containers"][0]["env"])
    assert env["JAVA_TOOL_OPTIONS"] == "-Xmx96m -javaagent:/odigos-cp/java/javaagent.jar"
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://192.0.2.7:4318"
    assert "k8s.pod.name=cart-6d4f-x2x4z," in env["OTEL_RESOURCE_ATTRIBUTES"]


# --- why there is none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "reason", "says"),
    [
        (runtime("unknown"), AgentReason.UNKNOWN_LANGUAGE, "containerOverrides"),
        (runtime("go"), AgentReason.COMPILED_LANGUAGE, "eBPF"),
        (runtime("rust"), AgentReason.COMPILED_LANGUAGE, "eBPF"),
        (runtime("cpp"), AgentReason.COMPILED_LANGUAGE, "eBPF"),
        (runtime("graalvm-native"), AgentReason.COMPILED_LANGUAGE, "eBPF"),
        (runtime("dotnet"), AgentReason.NO_AGENT, ".NET"),
        (runtime("ruby"), AgentReason.NO_AGENT, "Ruby"),
        (runtime("php"), AgentReason.NO_AGENT, "PHP"),
        (runtime("postgres"), AgentReason.NO_AGENT, "postgres"),
        (runtime("java", version="7.0.80"), AgentReason.VERSION_NOT_SUPPORTED, "Java 8 or newer"),
        (runtime("python", version="3.9.2"), AgentReason.VERSION_NOT_SUPPORTED, "Python 3.10"),
        (runtime("nodejs", version="16.20.2"), AgentReason.VERSION_NOT_SUPPORTED, "18.19"),
        (runtime(otherAgents=["datadog"]), AgentReason.OTHER_AGENT, "datadog"),
        (runtime("nodejs", secureExecution=True), AgentReason.SECURE_EXECUTION, "NODE_OPTIONS"),
        (runtime(envKnown=False), AgentReason.ENVIRONMENT_UNKNOWN, "JAVA_TOOL_OPTIONS and OTEL_RESOURCE_ATTRIBUTES"),
        (runtime(container="istio-proxy"), AgentReason.IGNORED_CONTAINER, "ignoredContainers"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_a_container_without_an_agent_says_why(found: dict[str, Any], reason: AgentReason, says: str) -> None:
    seen = observed(found)
    plan = decided(seen)
    assert plan.hash == ""
    assert [(c.method, c.reason) for c in plan.containers] == [("none", reason)]
    assert says in plan.containers[0].message
    status, told, message = said(seen)
    assert (status, told) == ("False", reason)
    assert says in message


@pytest.mark.parametrize(
    ("asked", "says"), [("java-acme", "known: java-opentelemetry"), ("python-opentelemetry", "is for Python")]
)
def test_an_agent_that_cannot_be_used_is_refused(asked: str, says: str) -> None:
    seen = observed(runtime(), spec={"containers": [{"containerName": "app", "otelDistroName": asked}]})
    _, reason, message = said(seen)
    assert reason == AgentReason.UNKNOWN_AGENT
    assert says in message


def test_the_languages_own_agent_may_be_asked_for_by_name() -> None:
    asked = {"containers": [{"containerName": "app", "otelDistroName": "java-opentelemetry"}]}
    assert hash_of(observed(runtime(), spec=asked)) == hash_of(observed(runtime()))


def test_without_an_image_for_the_agent_there_is_none() -> None:
    _, reason, message = said(observed(runtime(), images={}))
    assert reason == AgentReason.NO_AGENT
    assert "--agent-images" in message


def test_an_unwanted_application_gets_nothing_and_says_so() -> None:
    seen = observed(runtime(), spec={"enabled": False})
    assert decided(seen) == Injection()
    assert said(seen)[:2] == ("False", "NotWanted")


def test_a_hidden_environment_is_no_matter_where_the_template_sets_what_is_extended() -> None:
    workload = template("app", app=["JAVA_TOOL_OPTIONS", "OTEL_RESOURCE_ATTRIBUTES"])
    assert hash_of(observed(runtime(envKnown=False), workload=workload))
    _, _, message = said(observed(runtime(envKnown=False), workload=template("app", app=["JAVA_TOOL_OPTIONS"])))
    assert "JAVA_TOOL_OPTIONS" not in message


def test_one_of_two_containers_is_enough_and_the_other_says_why() -> None:
    seen = observed(runtime(), runtime("go", "worker"))
    status, reason, message = said(seen)
    assert (status, reason) == ("True", "PartlyEnabled")
    assert "app: Java 17.0.21 gets java-opentelemetry; worker: Go is compiled" in message
    assert hash_of(seen) == hash_of(observed(runtime()))


def test_ignored_containers_do_not_count() -> None:
    assert said(observed(runtime(), runtime("unknown", "istio-proxy")))[:2] == ("True", "Enabled")
    assert (
        said(observed(runtime(), configuration=configuration(ignoredContainers=["app"]).spec))[1] == "IgnoredContainer"
    )


def test_a_way_of_injection_that_is_not_there_yet_is_said() -> None:
    assert (
        "imageVolume is not in this release"
        in said(observed(runtime(), configuration=configuration(injection={"method": "imageVolume"}).spec))[2]
    )


# --- what is not known yet ------------------------------------------------------------------------------------------

WAITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "detection": ({"status": {"runtimes": []}}, "Unknown", "WaitingForDetection"),
    "assignment": ({"group": None}, "Unknown", "WaitingForCollector"),
    "configuration": ({"group": group(configHash="")}, "Unknown", "WaitingForCollector"),
    "readiness": (
        {"group": group(ready=False, receiverSignals=["TRACES"], configHash="a")}, "Unknown", "WaitingForCollector",
    ),
    "signals": ({"group": group(configHash="abc")}, "False", "NoSignals"),
    "a new container": ({"workload": template("app", "sidecar")}, "Unknown", "WaitingForDetection"),
}  # fmt: skip


@pytest.mark.parametrize("missing", WAITS)
def test_nothing_is_decided_while_something_is_missing(missing: str) -> None:
    deviations, status, reason = WAITS[missing]
    seen = observed(runtime(), **{"workload": template("app")} | deviations)
    assert after(seen).application.status.injection is None
    assert said(seen)[:2] == (status, reason)


@pytest.mark.parametrize("missing", [m for m in WAITS if m != "readiness"])
def test_a_running_plan_stays_while_something_is_missing(missing: str) -> None:
    deviations, _, _ = WAITS[missing]
    running = after(observed(runtime()))
    status = dict(deviations.get("status", {}))
    seen = with_status(replace(running, **{k: v for k, v in deviations.items() if k != "status"}), **status)
    assert decided(seen) == running.application.status.injection
    status_, reason, message = said(seen)
    assert (status_, reason) == ("True", "Enabled")
    assert "stay as they are meanwhile: " in message


def test_a_running_plan_does_not_mind_collectors_that_are_not_ready() -> None:
    running = after(observed(runtime()))
    unready = group(ready=False, receiverSignals=["TRACES", "LOGS"], configHash="abc")
    assert injection.plan(replace(running, group=unready), NOW).writes == ()


def test_a_running_plan_stays_while_the_detector_looks_again_at_what_it_could_not_tell() -> None:
    running = after(observed(runtime()))
    unsure = with_status(running, runtimes=[runtime("unknown", imageID="sha256:2")], detection={"attempts": 1})
    assert decided(unsure) == running.application.status.injection
    sure = with_status(unsure, detection={"attempts": 4})
    assert said(sure)[:2] == ("False", "UnknownLanguage")
    assert hash_of(sure) == ""


def test_a_plan_that_is_partly_carried_out_is_said_to_be_that_also_meanwhile() -> None:
    running = after(observed(runtime(), runtime("go", "worker")))
    assert said(replace(running, group=None))[1] == "PartlyEnabled"


def test_a_container_that_cannot_be_instrumented_needs_no_collectors_to_say_so() -> None:
    assert said(observed(runtime("go"), group=None))[1] == "CompiledLanguage"


# --- the hash -------------------------------------------------------------------------------------------------------


def test_a_plan_that_is_right_is_not_written_again() -> None:
    assert injection.plan(after(observed(runtime())), NOW + timedelta(hours=1)).writes == ()


@pytest.mark.parametrize(
    "deviations",
    [
        {"version": "17.0.22"},
        {"confidence": 50},
        {"evidence": [{"rule": "loaded-library"}]},
        {"imageID": "sha256:2"},
        {"libc": "musl"},
        {"env": {"JAVA_VERSION": "17"}},
    ],
    ids=str,
)
def test_what_is_known_of_a_container_may_change_without_a_restart(deviations: dict[str, Any]) -> None:
    assert hash_of(observed(runtime(**deviations))) == hash_of(observed(runtime()))


def test_what_is_injected_changes_the_hash() -> None:
    same = {
        hash_of(observed(runtime())),
        hash_of(observed(runtime(), group=group(receiverSignals=["TRACES"], configHash="abc"))),
        hash_of(observed(runtime(), images=IMAGES | {"java": "odigos-cp/agent-java:2"})),
        hash_of(observed(runtime(), spec={"serviceName": "other"})),
        hash_of(observed(runtime(env={"JAVA_TOOL_OPTIONS": "-Xmx1g"}))),
        hash_of(observed(runtime(), rules=(rule("r", sampling={"ratio": 0.5}),))),
        hash_of(observed(runtime(container="other"))),
        hash_of(observed(runtime("python"))),
    }
    assert len(same) == 8


def test_no_two_workloads_have_one_hash() -> None:
    other = application("wagon", conditions=[DETECTED], runtimes=[runtime()], collector={"group": "odigos-gateway"})
    seen = replace(observed(runtime()), application=other)
    assert hash_of(seen) != hash_of(observed(runtime(), spec={"serviceName": "wagon"}))


def test_pods_find_their_plan_by_namespace_and_hash() -> None:
    found = after(observed(runtime())).application
    assert found.status.injection is not None
    assert list(injection.index_by_hash(found)) == [("shop", found.status.injection.hash)]
    assert list(injection.index_by_hash(application())) == []
    assert list(injection.index_by_hash(application(injection={"hash": ""}))) == []


# --- what the image itself sets -------------------------------------------------------------------------------------


def test_what_the_image_sets_is_kept() -> None:
    env = {"JAVA_TOOL_OPTIONS": "-Da", "OTEL_PROPAGATORS": "b3", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine:4317"}
    (app,) = decided(observed(runtime(env=env))).containers
    assert {e.name: e.base for e in app.env if e.base} == {"JAVA_TOOL_OPTIONS": "-Da"}
    assert not {"OTEL_PROPAGATORS", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"} & set(values(app))


def test_what_the_template_sets_is_not_taken_for_the_images() -> None:
    env = {"JAVA_TOOL_OPTIONS": "-Dpod=cart-1", "OTEL_PROPAGATORS": "b3"}
    workload = template("app", app=["JAVA_TOOL_OPTIONS", "OTEL_PROPAGATORS"])
    assert hash_of(observed(runtime(env=env), workload=workload)) == hash_of(observed(runtime()))


def test_what_the_template_no_longer_sets_does_not_come_back_as_the_images() -> None:
    env = {"JAVA_TOOL_OPTIONS": "-Xmx96m", "OTEL_PROPAGATORS": "b3"}
    workload = template("app", app=["JAVA_TOOL_OPTIONS", "OTEL_PROPAGATORS"])
    running = after(observed(runtime(env=env), workload=workload))
    assert injection.plan(replace(running, workload=template("app")), NOW).writes == ()


def test_a_look_at_an_injected_pod_does_not_take_our_settings_for_the_images() -> None:
    running = after(observed(runtime(env={"JAVA_TOOL_OPTIONS": "-Da"})))
    seen = {
        "JAVA_TOOL_OPTIONS": "-Da -javaagent:/odigos-cp/java/javaagent.jar",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.7:4318",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
    }
    assert injection.plan(with_status(running, runtimes=[runtime(env=seen)]), NOW).writes == ()


def test_a_new_image_is_judged_anew() -> None:
    running = after(observed(runtime(env={"JAVA_TOOL_OPTIONS": "-Da"})))
    (app,) = decided(with_status(running, runtimes=[runtime(env={}, imageID="sha256:2")])).containers
    assert [e.base for e in app.env if e.name == "JAVA_TOOL_OPTIONS"] == [""]


def test_the_environment_of_an_image_that_was_known_once_stays_known() -> None:
    running = after(observed(runtime()))
    assert injection.plan(with_status(running, runtimes=[runtime(envKnown=False)]), NOW).writes == ()


IMAGES_OWN = st.dictionaries(
    st.sampled_from((*EXTENDED.values(), "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS", "OTEL_A")),
    VALUES | st.sampled_from(["tracecontext,baggage", "k8s.pod.name=x,a=b"]),
    max_size=3,
)
TEMPLATES_OWN = st.lists(
    st.builds(var, st.sampled_from((*EXTENDED.values(), "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS", "A")), VALUES),
    max_size=3,
    unique_by=lambda variable: str(variable["name"]),
)
TOLD = st.dictionaries(st.sampled_from(["OTEL_A", "OTEL_B"]), VALUES, max_size=2)


@settings(max_examples=200)
@given(st.sampled_from(sorted(recipes.ALL)), IMAGES_OWN, TEMPLATES_OWN, TOLD)
def test_a_new_image_that_sets_the_same_is_no_restart_though_it_is_seen_in_an_injected_pod(
    language: str, image: dict[str, str], env: list[dict[str, Any]], told: dict[str, str]
) -> None:
    node, workload = Node(image=image), template("app", app=[v["name"] for v in env])
    first = observed(
        runtime(language, env=node.environment(env)), workload=workload, rules=(rule("r", env=told),) if told else ()
    )
    pod = {"metadata": {}, "spec": {"containers": [{"name": "app", "env": env}]}}
    (app,) = decided(first).containers
    operations = injection.patch(pod, decided(first)).operations
    seen = node.environment(applied(pod, operations)["spec"]["containers"][0]["env"])
    newer = runtime(language, env=environment.own_values(seen, app.env), imageID="sha256:2")
    assert hash_of(with_status(after(first), runtimes=[newer])) == hash_of(first)


# --- the protocol ---------------------------------------------------------------------------------------------------


def test_a_plan_writes_its_own_fields_of_the_very_object_and_nothing_else() -> None:
    (write,) = injection.plan(observed(runtime()), NOW).writes
    assert isinstance(write, Apply)
    assert (write.kind, write.manager, write.subresource) == (APPLICATIONS, injection.MANAGER, "status")
    assert set(write.body["status"]) == {"injection", "conditions"}
    assert [c["type"] for c in write.body["status"]["conditions"]] == ["AgentEnabled"]
    assert write.body["metadata"]["uid"]


def test_names_of_variables_are_unique_in_a_container() -> None:
    """They are the keys of a list that the API server merges by."""
    rules = (rule("r", env={"OTEL_PROPAGATORS": "b3", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}, sampling={"ratio": 1}),)
    for language in recipes.ALL:
        (app,) = decided(observed(runtime(language), rules=rules)).containers
        names = [edit.name for edit in app.env]
        assert len(names) == len(set(names))
        assert values(app)["OTEL_PROPAGATORS"] == "b3"
