"""Which JSON patch brings a plan into a Pod? Pure: the Pod as the API server sends it, and the plan, are all it sees.

All or nothing: either every container of the plan gets everything (files, mount, variables), or the Pod is left as it
is, with a reason. So the annotation, which says which plan was injected, is true of the whole Pod.

An init container copies each agent's files into a volume of its own, before anything else of the Pod runs. It is made
so that no namespace refuses it: it fits the strictest pod security, and takes the resources of a container that it
serves, which keeps the Pod's quality-of-service class and its place under limit ranges and quotas. It gets room for the
files where ephemeral storage is limited, because the volume counts against the sum of the Pod's limits.

A Pod that was injected already is not changed again (the API server calls twice when other webhooks change it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from posixpath import normpath
from typing import Any

from odigos_cp.api.application import ContainerInjection, Injection
from odigos_cp.api.meta import INJECTED_ANNOTATION
from odigos_cp.domain import environment, recipes
from odigos_cp.domain.environment import Refused
from odigos_cp.domain.recipes import HOME, Recipe

Json = Mapping[str, Any]
Operation = dict[str, Any]

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
SHARED_RESOURCES = ("cpu", "memory")
STORAGE = "ephemeral-storage"


@dataclass(frozen=True)
class Patch:
    """`reason` says why the Pod is left as it is; without one, no operations mean that nothing is left to do."""

    operations: tuple[Operation, ...] = ()
    reason: str = ""


def patch(pod: Json, plan: Injection) -> Patch:
    try:
        return Patch(tuple(_operations(pod, plan)))
    except Refused as refused:
        return Patch(reason=str(refused))


def _operations(pod: Json, plan: Injection) -> list[Operation]:
    metadata, spec = _object(pod, "metadata"), _object(pod, "spec")
    annotations = _object(metadata, "annotations")
    _refuse_foreign(spec, annotations)
    containers = _named(spec, "containers")
    chosen = {c.name: c for c in plan.containers if c.method == "agent"}
    targets = [(i, c, chosen[c["name"]]) for i, c in enumerate(containers) if c["name"] in chosen]
    if not targets:
        there = _words(c["name"] for c in containers)
        raise Refused(f"its plan {plan.hash} is for the containers {_words(chosen)}, and it has {there}")
    operations: list[Operation] = []
    for index, container, injection in targets:
        operations += _container(index, container, injection)
    agents = {injection.language: (injection, container) for _, container, injection in reversed(targets)}
    operations += _files(spec, [agents[language] for language in sorted(agents)])
    if annotations.get(INJECTED_ANNOTATION) != plan.hash:
        operations.append(_annotate(metadata, annotations, plan.hash))
    return operations


def _refuse_foreign(spec: Json, annotations: Json) -> None:
    selector = _object(spec, "nodeSelector")
    if "windows" in (_object(spec, "os").get("name"), selector.get("kubernetes.io/os")):
        raise Refused("it runs on Windows, for which there are no agents")
    if MIRROR_ANNOTATION in annotations:
        raise Refused("it is the mirror of a static pod, which the kubelet would make again and again")


# --- the containers that are instrumented ---------------------------------------------------------------------------


def _container(index: int, container: Json, injection: ContainerInjection) -> Iterable[Operation]:
    """What one container gets: everything, or Refused."""
    name, recipe = container["name"], _recipe(injection)
    try:
        env = _named(container, "env")
        for variable in env:
            _check(variable)
        _refuse_use_in_command(container, recipe)
        merged = environment.merged(env, injection.env)
        mounts = _mounts(container, recipe)
    except Refused as refused:
        raise Refused(f"container {name}: {refused}") from None
    if merged != env:
        yield {"op": "add", "path": f"/spec/containers/{index}/env", "value": merged}
    if mounts is not None:
        yield {"op": "add", "path": f"/spec/containers/{index}/volumeMounts", "value": mounts}


def _recipe(injection: ContainerInjection) -> Recipe:
    recipe = recipes.ALL.get(injection.language)
    if recipe is None or not injection.image:
        raise Refused(f"its plan names an agent that this release does not have ({injection.agent or 'none'})")
    return recipe


def _check(variable: Json) -> None:
    value, source = variable.get("value"), variable.get("valueFrom")
    if not isinstance(value, str | None) or not isinstance(source, dict | None) or (value and source):
        raise Refused(f"it has a variable {variable['name']} that is none")


def _refuse_use_in_command(container: Json, recipe: Recipe) -> None:
    """`$(X)` in a command is replaced by Kubernetes too: an extended X could be one argument too long."""
    words = str([container.get("command"), container.get("args")])
    for name in (recipe.entry.variable, environment.RESOURCE_ATTRIBUTES):
        if f"$({name})" in words:
            raise Refused(f"it uses $({name}) in its command, which would change with it")


def _mounts(container: Json, recipe: Recipe) -> list[Json] | None:
    """Its mounts with ours, or None if ours is there."""
    mounts = _list(container, "volumeMounts")
    ours = {"name": recipe.volume, "mountPath": recipe.directory, "readOnly": True}
    if any(mount.get("name") == recipe.volume and mount.get("mountPath") == recipe.directory for mount in mounts):
        return None
    for mount in (*mounts, *_list(container, "volumeDevices")):
        path = normpath(f"/{mount.get('mountPath') or mount.get('devicePath') or ''}").replace("//", "/")
        if path == HOME or path.startswith(f"{HOME}/"):
            raise Refused(f"it mounts something at {path}, where the agent's files belong")
    return [*mounts, ours]


# --- the files ------------------------------------------------------------------------------------------------------


def _files(spec: Json, agents: Sequence[tuple[ContainerInjection, Json]]) -> Iterable[Operation]:
    """A volume and an init container for each agent; the container beside it is the first that it serves."""
    volumes, starters = _named(spec, "volumes"), _named(spec, "initContainers")
    taken = {
        c["name"]: c for part in ("containers", "initContainers", "ephemeralContainers") for c in _named(spec, part)
    }
    room = sum((quantity(_recipe(injection).files_limit) for injection, _ in agents), Fraction())
    new_volumes, new_starters = [], []
    for injection, container in agents:
        recipe = _recipe(injection)
        volume = next((v for v in volumes if v["name"] == recipe.volume), None)
        starter = taken.get(recipe.volume)
        if volume is None and starter is None:
            new_volumes.append({"name": recipe.volume, "emptyDir": {"sizeLimit": recipe.files_limit}})
            new_starters.append(_starter(spec, injection, recipe, _resources(spec, container, room)))
        elif volume is None or starter is None or "emptyDir" not in volume or starter.get("image") != injection.image:
            raise Refused(f"it has a volume or container {recipe.volume} of its own, or was injected by another plan")
    if new_volumes:
        yield {"op": "add", "path": "/spec/volumes", "value": [*volumes, *new_volumes]}
        yield {"op": "add", "path": "/spec/initContainers", "value": [*new_starters, *starters]}


def _starter(spec: Json, injection: ContainerInjection, recipe: Recipe, resources: Json) -> Json:
    """The image's own command copies; nothing is left to say but where to, and with which rights."""
    security: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if _object(spec, "securityContext").get("runAsUser") != 0:
        # The image's user is none of root's. A Pod that says root for all its containers would not start with this.
        security["runAsNonRoot"] = True
    starter = {
        "name": recipe.volume,
        "image": injection.image,
        "securityContext": security,
        "volumeMounts": [{"name": recipe.volume, "mountPath": recipe.directory}],
    }
    return starter | ({"resources": resources} if resources else {})


def _resources(spec: Json, served: Json, room: Fraction) -> Json:
    """As the container that is served has them: it starts only after this one, so the Pod needs no more than before."""
    given = _object(served, "resources")
    resources: dict[str, dict[str, str]] = {}
    for part in ("requests", "limits"):
        shared = {name: value for name, value in _object(given, part).items() if name in SHARED_RESOURCES}
        if shared:
            resources[part] = shared
    limits = [_object(_object(c, "resources"), "limits").get(STORAGE) for c in _named(spec, "containers")]
    if any(limit is not None for limit in limits):
        enough = sum((quantity(limit) for limit in limits if limit is not None), room)
        resources.setdefault("limits", {})[STORAGE] = str(int(enough))
        resources.setdefault("requests", {})[STORAGE] = str(int(room))
    return resources


_UNITS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_QUANTITY = re.compile(r"([0-9]{1,24}(?:\.[0-9]{1,12})?)(?:([KMGTPE])i|([kMGTPE])|[eE](-?[0-9]{1,2})|(m))?")


def quantity(text: Any) -> Fraction:
    """A Kubernetes quantity as a number."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise Refused(f"it has a limit of {STORAGE} that is no quantity")
    number, binary, decimal, exponent, milli = found.groups()
    if exponent or milli:
        return Fraction(f"{number}e{exponent or -3}")
    scale: int = 1024 ** _UNITS[binary] if binary else 1000 ** _UNITS[decimal or ""]
    return Fraction(number) * scale


# --- shapes ---------------------------------------------------------------------------------------------------------


def _annotate(metadata: Json, annotations: Json, hash_: str) -> Operation:
    if metadata.get("annotations") is None:
        return {"op": "add", "path": "/metadata/annotations", "value": {INJECTED_ANNOTATION: hash_}}
    return {"op": "add", "path": f"/metadata/annotations/{INJECTED_ANNOTATION.replace('/', '~1')}", "value": hash_}


def _object(of: Json, name: str) -> Json:
    """A part that is an object, empty if it is not there."""
    part = of.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise Refused(f"its {name} is no object")
    return part


def _list(of: Json, name: str) -> list[Json]:
    """A part that is a list of objects, empty if it is not there."""
    part = of.get(name)
    if part is None:
        return []
    if not isinstance(part, list) or not all(isinstance(item, dict) for item in part):
        raise Refused(f"its {name} is no list of objects")
    return part


def _named(of: Json, name: str) -> list[Json]:
    """A part that is a list of objects, each with a name."""
    part = _list(of, name)
    if not all(isinstance(item.get("name"), str) for item in part):
        raise Refused(f"its {name} has an entry without a name")
    return part


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
