"""A Pod gets all of its plan or nothing, loses nothing of its own, and starts wherever it started before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odigos_cp.api.application import ContainerInjection, EnvEdit, Injection
from odigos_cp.api.meta import INJECTED_ANNOTATION
from odigos_cp.domain import environment, injection, patching, recipes
from odigos_cp.domain.patching import Patch
from tests.builders import HASH
from tests.domain.kubelet import FIELDS, Node, applied

ATTRIBUTES = "service.name=cart,k8s.container.name=app,k8s.pod.name=$(ODIGOS_POD_NAME)"
IMAGES = {language: f"odigos-cp/agent-{language}:1" for language in recipes.ALL}


def edits(language: str = "java", base: Mapping[str, str] | None = None, **keep: str) -> tuple[EnvEdit, ...]:
    entry, own = recipes.ALL[language].entry, base or {}
    kept = {
        environment.ENDPOINT: "http://$(ODIGOS_NODE_IP):4318",
        environment.PROTOCOL: "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        environment.SAMPLER: "parentbased_traceidratio",
        environment.SAMPLER_ARGUMENT: "0.25",
    }
    return (
        *(EnvEdit(name=name, field_path=path) for name, path in injection.FIELDS.items()),
        *(EnvEdit(name=name, value=value) for name, value in (kept | keep).items()),
        EnvEdit(
            name=entry.variable,
            value=entry.value,
            merge=entry.merge,
            separator=entry.separator,
            base=own.get(entry.variable, ""),
        ),
        EnvEdit(
            name=environment.RESOURCE_ATTRIBUTES,
            value=ATTRIBUTES,
            merge="attributes",
            separator=",",
            base=own.get(environment.RESOURCE_ATTRIBUTES, ""),
        ),
    )


def plan(*languages: str, base: Mapping[str, str] | None = None, hash_: str = HASH) -> Injection:
    """Containers app, app-2, ... with these languages."""
    names = ("app", "app-2", "app-3")
    return Injection(
        hash=hash_,
        containers=tuple(
            ContainerInjection(
                name=name,
                method="agent",
                agent=recipes.ALL[language].distribution,
                language=language,
                image=IMAGES[language],
                env=edits(language, base),
            )
            for name, language in zip(names, languages or ("java",), strict=False)
        ),
    )


def pod(*env: Mapping[str, Any], spec: Mapping[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    app = {"name": "app", "image": "shop/cart:1"} | ({"env": list(env)} if env else {}) | container
    return {"metadata": {"generateName": "cart-"}, "spec": {"containers": [app]} | dict(spec or {})}


def injected(seen: Mapping[str, Any], decided: Injection | None = None) -> dict[str, Any]:
    """The Pod with its plan; a second visit of the webhook must find nothing to do."""
    decided = decided or plan()
    patched = injection.patch(seen, decided)
    assert patched.reason == ""
    after = applied(seen, patched.operations)
    assert injection.patch(after, decided) == Patch()
    return after


def refused(seen: Mapping[str, Any], decided: Injection | None = None) -> str:
    patched = injection.patch(seen, decided or plan())
    assert patched.operations == ()
    assert patched.reason
    return patched.reason


def env_of(after: Mapping[str, Any], node: Node | None = None, index: int = 0) -> dict[str, str]:
    return (node or Node()).environment(after["spec"]["containers"][index].get("env"))


def var(name: str, value: str | None = None) -> dict[str, Any]:
    return {"name": name} | ({} if value is None else {"value": value})


def ref(name: str, key: str, *, optional: bool = False) -> dict[str, Any]:
    reference = {"name": "settings", "key": key} | ({"optional": True} if optional else {})
    return {"name": name, "valueFrom": {"configMapKeyRef": reference}}


def fld(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


# --- what a Pod gets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", recipes.ALL)
def test_a_plain_pod_gets_files_mount_variables_and_the_mark(language: str) -> None:
    recipe = recipes.ALL[language]
    after = injected(pod(), plan(language))
    (app,) = after["spec"]["containers"]
    assert after["metadata"]["annotations"] == {INJECTED_ANNOTATION: HASH}
    assert after["spec"]["volumes"] == [{"name": recipe.volume, "emptyDir": {"sizeLimit": recipe.files_limit}}]
    assert app["volumeMounts"] == [{"name": recipe.volume, "mountPath": recipe.directory, "readOnly": True}]
    (starter,) = after["spec"]["initContainers"]
    assert (starter["image"], starter["volumeMounts"][0]["mountPath"]) == (IMAGES[language], recipe.directory)
    env = env_of(after)
    assert env[recipe.entry.variable] == recipe.entry.value
    assert env[environment.ENDPOINT] == "http://192.0.2.7:4318"
    assert env[environment.RESOURCE_ATTRIBUTES].endswith(f"k8s.pod.name={FIELDS['metadata.name']}")


def test_what_the_pod_has_stays_and_ours_comes_first_or_last_as_it_must() -> None:
    seen = pod(
        var("A", "1"),
        spec={
            "initContainers": [{"name": "migrate", "image": "m:1"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    seen["metadata"]["annotations"] = {"own": "x"}
    after = injected(seen)
    assert [c["name"] for c in after["spec"]["initContainers"]] == ["odigos-cp-java", "migrate"]
    assert [v["name"] for v in after["spec"]["volumes"]] == ["data", "odigos-cp-java"]
    assert [m["name"] for m in after["spec"]["containers"][0]["volumeMounts"]] == ["data", "odigos-cp-java"]
    assert after["metadata"]["annotations"] == {"own": "x", INJECTED_ANNOTATION: HASH}
    names = [v["name"] for v in after["spec"]["containers"][0]["env"]]
    assert names[: len(injection.FIELDS)] == list(injection.FIELDS)
    assert names[-1] == environment.RESOURCE_ATTRIBUTES


def test_two_languages_get_a_volume_each_and_two_containers_of_one_language_share_it() -> None:
    containers = [{"name": n, "image": "x"} for n in ("app", "app-2", "app-3", "sidecar")]
    after = injected(pod(spec={"containers": containers}), plan("java", "python", "java"))
    assert [v["name"] for v in after["spec"]["volumes"]] == ["odigos-cp-java", "odigos-cp-python"]
    assert [c["name"] for c in after["spec"]["initContainers"]] == ["odigos-cp-java", "odigos-cp-python"]
    mounts = [[m["name"] for m in c.get("volumeMounts", [])] for c in after["spec"]["containers"]]
    assert mounts == [["odigos-cp-java"], ["odigos-cp-python"], ["odigos-cp-java"], []]
    assert after["spec"]["containers"][3] == containers[3]


def test_a_container_that_the_template_no_longer_has_is_no_obstacle() -> None:
    after = injected(pod(), plan("java", "python"))
    assert [v["name"] for v in after["spec"]["volumes"]] == ["odigos-cp-java"]


def test_a_pod_of_the_host_network_finds_its_node_all_the_same() -> None:
    assert env_of(injected(pod(spec={"hostNetwork": True})))[environment.ENDPOINT] == "http://192.0.2.7:4318"


# --- variables ------------------------------------------------------------------------------------------------------

AGENT = "-javaagent:/odigos-cp/java/javaagent.jar"


@pytest.mark.parametrize(
    ("env", "becomes"),
    [
        ([var("JAVA_TOOL_OPTIONS", "-Xmx96m")], f"-Xmx96m {AGENT}"),
        ([var("JAVA_TOOL_OPTIONS", "")], AGENT),
        ([var("JAVA_TOOL_OPTIONS")], AGENT),
        ([var("A", "1"), var("JAVA_TOOL_OPTIONS", "-Da=$(A)")], f"-Da=1 {AGENT}"),
        ([var("A", "1"), var("JAVA_TOOL_OPTIONS", "-Da=$$(A)")], f"-Da=$(A) {AGENT}"),
        ([var("JAVA_TOOL_OPTIONS", "-Da=$(A")], f"-Da=$(A {AGENT}"),
        ([var("JAVA_TOOL_OPTIONS", "-Da=$")], f"-Da=$ {AGENT}"),
        ([ref("JAVA_TOOL_OPTIONS", "options")], f"-Xss1m {AGENT}"),
        ([ref("JAVA_TOOL_OPTIONS", "options", optional=True)], f"-Xss1m {AGENT}"),
        ([ref("JAVA_TOOL_OPTIONS", "missing", optional=True)], f" {AGENT}"),
        ([var("JAVA_TOOL_OPTIONS", "-Da=1"), var("JAVA_TOOL_OPTIONS", "$(JAVA_TOOL_OPTIONS) -Db=2")],
         f"-Da=1 -Db=2 {AGENT}"),
        ([var("JAVA_TOOL_OPTIONS", "-Da=1"), ref("JAVA_TOOL_OPTIONS", "options")], f"-Xss1m {AGENT}"),
        ([var("JAVA_TOOL_OPTIONS", f"-Xmx9m {AGENT}")], f"-Xmx9m {AGENT}"),
    ],
)  # fmt: skip
def test_a_value_of_the_pod_is_extended(env: list[dict[str, Any]], becomes: str) -> None:
    node = Node(config={"options": "-Xss1m"})
    assert env_of(injected(pod(*env)), node)["JAVA_TOOL_OPTIONS"] == becomes


def test_a_value_of_the_image_is_written_out_to_the_letter() -> None:
    own = {"JAVA_TOOL_OPTIONS": "-Da=$(A) -Db=$$ -Dc=$"}
    after = injected(pod(var("A", "1")), plan(base=own))
    assert env_of(after, Node(image=own))["JAVA_TOOL_OPTIONS"] == f"{own['JAVA_TOOL_OPTIONS']} {AGENT}"


def test_a_value_of_the_pod_hides_the_images_as_without_us() -> None:
    after = injected(pod(var("JAVA_TOOL_OPTIONS", "-Da")), plan(base={"JAVA_TOOL_OPTIONS": "-Dimage"}))
    assert env_of(after)["JAVA_TOOL_OPTIONS"] == f"-Da {AGENT}"


def test_pythons_path_is_put_before_the_own() -> None:
    after = injected(pod(var("PYTHONPATH", "/app/lib")), plan("python"))
    assert env_of(after)["PYTHONPATH"] == "/odigos-cp/python/boot:/app/lib"


def test_a_path_that_is_missing_does_not_put_the_working_directory_on_it() -> None:
    """An empty entry of PYTHONPATH would be the working directory."""
    after = injected(pod(ref("PYTHONPATH", "missing", optional=True)), plan("python"))
    assert env_of(after)["PYTHONPATH"] == "/odigos-cp/python/boot:/odigos-cp/python/boot"


@pytest.mark.parametrize(
    ("own", "becomes"),
    [
        ("team=a", "team=a,service.name=cart,k8s.container.name=app,k8s.pod.name=POD"),
        ("service.name=mine", "service.name=mine,k8s.container.name=app,k8s.pod.name=POD"),
        (
            "k8s.pod.name=x, service.name = y,k8s.container.name=z",
            "k8s.pod.name=x, service.name = y,k8s.container.name=z",
        ),
        ("team=$(TEAM)", "service.name=cart,k8s.container.name=app,k8s.pod.name=POD,team=blue"),
        ("$(ALL)", "service.name=cart,k8s.container.name=app,k8s.pod.name=POD,service.name=all"),
        ("x=$(", "service.name=cart,k8s.container.name=app,k8s.pod.name=POD,x=$("),
        ("no pair", "no pair,service.name=cart,k8s.container.name=app,k8s.pod.name=POD"),
    ],
)
def test_resource_attributes_are_added_where_they_are_absent_and_never_win(own: str, becomes: str) -> None:
    seen = pod(var("TEAM", "blue"), var("ALL", "service.name=all"), var("OTEL_RESOURCE_ATTRIBUTES", own))
    assert env_of(injected(seen))["OTEL_RESOURCE_ATTRIBUTES"] == becomes.replace("POD", FIELDS["metadata.name"])


def test_the_images_attributes_are_kept_and_completed() -> None:
    base = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=of-the-image,a=$(B)"}
    assert env_of(injected(pod(), plan(base=base)))["OTEL_RESOURCE_ATTRIBUTES"] == (
        f"service.name=of-the-image,a=$(B),k8s.container.name=app,k8s.pod.name={FIELDS['metadata.name']}"
    )


def test_an_own_setting_is_never_touched_and_what_belongs_to_it_is_not_set() -> None:
    own = (var("OTEL_EXPORTER_OTLP_ENDPOINT", "http://mine:4317"), var("OTEL_TRACES_SAMPLER", "always_on"))
    env = env_of(injected(pod(*own)))
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://mine:4317"
    assert env["OTEL_TRACES_SAMPLER"] == "always_on"
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" not in env
    assert "OTEL_TRACES_SAMPLER_ARG" not in env


def test_variables_that_refer_to_an_extended_one_see_the_extended_one() -> None:
    after = injected(pod(var("JAVA_TOOL_OPTIONS", "-Da"), var("COPY", "$(JAVA_TOOL_OPTIONS)")))
    assert env_of(after)["COPY"] == f"-Da {AGENT}"


def test_a_field_that_the_pod_has_under_our_name_already_is_moved_to_the_front() -> None:
    after = injected(pod(var("A", "1"), fld("ODIGOS_NODE_IP", "status.hostIP")))
    names = [v["name"] for v in after["spec"]["containers"][0]["env"]]
    assert names.count("ODIGOS_NODE_IP") == 1
    assert names.index("ODIGOS_NODE_IP") < names.index("A")


# --- what cannot be done without a loss, or is strange ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"env": [var("ODIGOS_NODE_IP", "1.2.3.4")]}, "ODIGOS_NODE_IP"),
        ({"env": [fld("ODIGOS_NODE_IP", "metadata.name")]}, "ODIGOS_NODE_IP"),
        ({"env": [ref("JAVA_TOOL_OPTIONS", "k"), var("ORIGINAL_JAVA_TOOL_OPTIONS", "x")]}, "ORIGINAL_JAVA"),
        ({"env": [var("JAVA_TOOL_OPTIONS", "x"), ref("JAVA_TOOL_OPTIONS", "k", optional=True)]}, "twice"),
        ({"command": ["java", "$(JAVA_TOOL_OPTIONS)"]}, "in its command"),
        ({"args": ["echo $(OTEL_RESOURCE_ATTRIBUTES)"]}, "in its command"),
        ({"volumeMounts": [{"name": "x", "mountPath": "/odigos-cp"}]}, "/odigos-cp"),
        ({"volumeMounts": [{"name": "x", "mountPath": "//odigos-cp/java/lib/"}]}, "/odigos-cp/java/lib"),
        ({"volumeDevices": [{"name": "x", "devicePath": "/odigos-cp/disk"}]}, "/odigos-cp/disk"),
        ({"env": "A=1"}, "env"),
        ({"env": [None]}, "env"),
        ({"env": [{"value": "x"}]}, "env"),
        ({"env": [{"name": "A", "value": 7}]}, "A"),
        ({"env": [{"name": "A", "valueFrom": "x"}]}, "A"),
        ({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]}, "A"),
        ({"volumeMounts": {"x": 1}}, "volumeMounts"),
        ({"resources": {"limits": {"ephemeral-storage": "much"}}}, "ephemeral-storage"),
        ({"resources": [1]}, "resources"),
    ],
    ids=str,
)  # fmt: skip
def test_a_container_that_cannot_be_injected_leaves_the_pod_untouched(container: dict[str, Any], why: str) -> None:
    assert why in refused(pod(**container))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"os": {"name": "windows"}}, "Windows"),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, "Windows"),
        ({"volumes": [{"name": "odigos-cp-java", "configMap": {"name": "x"}}]}, "odigos-cp-java"),
        ({"volumes": [{"name": "odigos-cp-java", "emptyDir": {}}]}, "odigos-cp-java"),
        ({"initContainers": [{"name": "odigos-cp-java", "image": "x"}]}, "odigos-cp-java"),
        ({"ephemeralContainers": [{"name": "odigos-cp-java", "image": "x"}]}, "odigos-cp-java"),
        ({"containers": [{"name": "app"}, {"name": "odigos-cp-java"}]}, "odigos-cp-java"),
        ({"containers": [{"name": "web", "image": "x"}]}, "app, and it has web"),
        ({"containers": []}, "it has none"),
        ({"containers": None}, "it has none"),
        ({"containers": [None, 7]}, "containers"),
        ({"containers": [{"image": "x"}]}, "containers"),
        ({"containers": [{"name": 7}]}, "containers"),
        ({"volumes": "none"}, "volumes"),
        ({"initContainers": [3]}, "initContainers"),
        ({"securityContext": "root"}, "securityContext"),
        ({"os": 1}, "os"),
    ],
    ids=str,
)
def test_a_pod_that_cannot_be_injected_is_left_untouched(spec: dict[str, Any], why: str) -> None:
    assert why in refused(pod(spec=spec))


@pytest.mark.parametrize(
    "seen", [{}, {"metadata": 1}, {"spec": []}, {"metadata": {"annotations": []}, "spec": {}}], ids=str
)
def test_what_is_no_pod_is_left_untouched(seen: dict[str, Any]) -> None:
    assert refused(seen)


def test_a_static_pods_mirror_is_left_untouched() -> None:
    seen = pod()
    seen["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert "static pod" in refused(seen)


def test_one_container_that_cannot_be_injected_keeps_the_whole_pod_untouched() -> None:
    containers = [{"name": "app"}, {"name": "app-2", "env": "?"}]
    assert refused(pod(spec={"containers": containers}), plan("java", "python")).startswith("container app-2: ")


def test_a_pod_that_another_plan_was_injected_into_is_left_untouched() -> None:
    """Somebody makes a Pod from the text of a live one."""
    newer = plan()
    newer = newer.model_copy(
        update={"containers": (newer.containers[0].model_copy(update={"image": "odigos-cp/agent-java:2"}),)}
    )
    assert "another plan" in refused(injected(pod()), newer)


def test_a_plan_for_an_agent_that_this_release_does_not_have_changes_nothing() -> None:
    ruby = ContainerInjection(name="app", method="agent", agent="ruby-opentelemetry", language="ruby", image="x")
    assert "ruby-opentelemetry" in refused(pod(), Injection(hash=HASH, containers=(ruby,)))


# --- the init container ---------------------------------------------------------------------------------------------


def starter(seen: Mapping[str, Any], *languages: str) -> dict[str, Any]:
    made: dict[str, Any] = injected(seen, plan(*languages))["spec"]["initContainers"][0]
    return made


def test_it_fits_the_strictest_pod_security() -> None:
    assert starter(pod())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize(("user", "non_root"), [(None, True), (1000, True), (0, None)])
def test_it_runs_as_the_pod_says_also_as_root(user: int | None, non_root: bool | None) -> None:
    context = {"fsGroup": 2000} | ({} if user is None else {"runAsUser": user})
    made = starter(pod(spec={"securityContext": context}))["securityContext"]
    assert "runAsUser" not in made
    assert made.get("runAsNonRoot") == non_root


@pytest.mark.parametrize(
    "resources",
    [
        None,
        {},
        {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        {"limits": {"memory": "64Mi"}},
    ],
    ids=str,
)
def test_it_has_the_resources_of_the_container_it_serves_so_the_pods_class_stays(resources: Any) -> None:
    assert starter(pod(resources=resources)).get("resources", {}) == (resources or {})


def test_it_serves_several_containers_with_the_resources_of_the_first() -> None:
    containers = [{"name": n, "resources": {"limits": {"cpu": n[-1]}}} for n in ("app-2", "app")]
    decided = plan("java", "java")
    containers[1]["resources"] = {"limits": {"cpu": "7"}}
    after = injected(pod(spec={"containers": containers}), decided)
    assert after["spec"]["initContainers"][0]["resources"] == {"limits": {"cpu": "2"}}


def test_it_asks_for_no_devices() -> None:
    assert "resources" not in starter(pod(resources={"limits": {"nvidia.com/gpu": "1"}, "claims": [{"name": "x"}]}))


def test_where_storage_is_limited_there_is_room_for_the_files() -> None:
    containers = [
        {"name": "app", "resources": {"limits": {"ephemeral-storage": "50M"}}},
        {"name": "app-2", "resources": {"limits": {"ephemeral-storage": "1Gi", "cpu": "1"}}},
    ]
    files = (96 + 96) * 2**20
    assert starter(pod(spec={"containers": containers}), "java", "nodejs")["resources"] == {
        "limits": {"ephemeral-storage": str(50_000_000 + 2**30 + files)},
        "requests": {"ephemeral-storage": str(files)},
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1Ki", 1024),
        ("1k", 1000),
        ("1.5Gi", 1610612736),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        ("500m", 0.5),
        ("7", 7),
        (8, 8),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: Any, number: float) -> None:
    assert patching.quantity(text) == number


# --- whatever a Pod looks like --------------------------------------------------------------------------------------

EXTENDED = {"java": "JAVA_TOOL_OPTIONS", "python": "PYTHONPATH", "nodejs": "NODE_OPTIONS"}
OTHERS = ("A", "B", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "PATH")
PIECES = st.sampled_from(
    ["a", "b=1", ",", "$", "$$", "$(", "$(A)", "$$(B)", "(", ")", " ", ":", "%", "service.name=x", "é"]
)
VALUES = st.lists(PIECES, max_size=6).map("".join)
NAMES = st.sampled_from(
    (*OTHERS, *EXTENDED.values(), "OTEL_RESOURCE_ATTRIBUTES", "ODIGOS_NODE_IP", "ORIGINAL_PYTHONPATH")
)
VARIABLES = st.one_of(
    st.builds(var, NAMES, VALUES),
    st.builds(var, NAMES),
    st.builds(ref, NAMES, st.sampled_from(["one", "two"])),
    st.builds(ref, NAMES, st.just("missing"), optional=st.just(True)),
    st.builds(fld, NAMES, st.sampled_from(sorted(FIELDS))),
)
IMAGE = st.dictionaries(st.sampled_from((*EXTENDED.values(), "OTEL_RESOURCE_ATTRIBUTES", "A")), VALUES, max_size=3)


def pairs(value: str) -> dict[str, str]:
    """Resource attributes as the SDKs read them: the last of equal keys counts."""
    return {k.strip(): v for k, equals, v in (p.partition("=") for p in value.split(",")) if equals}


@settings(max_examples=400, deadline=None)
@given(
    language=st.sampled_from(sorted(recipes.ALL)),
    env=st.lists(VARIABLES, max_size=5),
    image=IMAGE,
    config=st.fixed_dictionaries({"one": VALUES, "two": st.just("-Dtwo")}),
)
def test_whatever_a_pod_sets_is_still_there_and_ours_is_there_too(
    language: str, env: list[dict[str, Any]], image: dict[str, str], config: dict[str, str]
) -> None:
    recipe = recipes.ALL[language]
    extended = {recipe.entry.variable, environment.RESOURCE_ATTRIBUTES}
    set_here = {v["name"] for v in env}
    image = {name: value for name, value in image.items() if name not in set_here}
    node = Node(image=image, config=config)
    seen = pod(*env)
    patched = injection.patch(seen, plan(language, base=image))
    if patched.reason:
        twice = len(set_here) < len(env)
        assert twice or any(name.startswith(("ODIGOS_", "ORIGINAL_")) for name in set_here), patched.reason
        return
    after = injected(seen, plan(language, base=image))
    before, now = node.environment(env), node.environment(after["spec"]["containers"][0]["env"])
    assert {k: v for k, v in now.items() if k in before and k not in extended} == {
        k: v for k, v in before.items() if k not in extended
    }
    assert "$(ODIGOS" not in "".join(v for k, v in now.items() if k not in before)
    own, ours = before.get(recipe.entry.variable, ""), now[recipe.entry.variable]
    assert recipe.entry.value in ours
    assert own in ours
    old, new = pairs(before.get(environment.RESOURCE_ATTRIBUTES, "")), pairs(now[environment.RESOURCE_ATTRIBUTES])
    assert {key: new[key] for key in old} == old
    assert set(pairs(ATTRIBUTES)) <= set(new)
    assert old.get("k8s.pod.name", new["k8s.pod.name"]) == new["k8s.pod.name"]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "app", "odigos-cp-java", "windows"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["name", "image", "env", "value", "valueFrom", "volumes", "volumeMounts", "mountPath", "containers", "spec",
             "initContainers", "metadata", "annotations", "os", "resources", "limits", "ephemeral-storage", "command",
             "securityContext", "emptyDir", "fieldRef", "nodeSelector"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(spec=ODD, container=ODD)
def test_no_shape_at_all_makes_it_fail_or_do_half(spec: Any, container: Any) -> None:
    app = (container if isinstance(container, dict) else {"env": container}) | {"name": "app"}
    spec = spec if isinstance(spec, dict) else {"volumes": spec}
    for seen in ({"metadata": {}, "spec": spec}, {"metadata": {}, "spec": spec | {"containers": [app]}}):
        patched = injection.patch(seen, plan())
        assert bool(patched.operations) != bool(patched.reason)
        if patched.operations:
            after = injected(seen)
            assert {"odigos-cp-java"} <= {v["name"] for v in after["spec"]["volumes"]}
            assert after["spec"]["initContainers"][0]["name"] == "odigos-cp-java"
            assert env_names(after) >= set(injection.FIELDS) | {"JAVA_TOOL_OPTIONS"}


def env_names(after: Mapping[str, Any]) -> set[str]:
    return {v["name"] for v in after["spec"]["containers"][0]["env"]}
