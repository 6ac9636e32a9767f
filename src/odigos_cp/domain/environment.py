"""What does a container's environment become? Variables are merged one by one, and the user's own always win.

The edits of a plan are carried out on the variables of a live Pod as Kubernetes will read them: from top to bottom,
`$(X)` standing for the value of an earlier X, and `$$` for a `$`. So the fields that our values refer to come first,
the user's variables keep their places, and ours follow.

- `keep`: an own value stays. A setting that means something only beside another (GOES_WITH) comes only with ours.
- `append`, `prepend`: a value that the Pod has is extended in its place. One that comes from elsewhere (`valueFrom`) is
  renamed to ORIGINAL_<X>, and <X> refers to it. One that the image has (`base`) is written out, because any value in
  the Pod hides it.
- `attributes`: as append, and only the keys that are not there. Where keys are out of sight (`valueFrom`, `$(..)`) ours
  go in front, because of two equal keys the last one counts.

Merging twice gives what merging once gives. What cannot be merged without a loss is Refused, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from odigos_cp.api.application import EnvEdit

Variable = Mapping[str, Any]

ORIGINAL = "ORIGINAL_"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"

GOES_WITH = {PROTOCOL: ENDPOINT, SAMPLER_ARGUMENT: SAMPLER}


class Refused(Exception):
    """An outcome, not a fault: the text says why, for a person."""


def merged(present: Sequence[Variable], edits: Sequence[EnvEdit]) -> list[Variable]:
    """The variables with the edits carried out: equal to `present` when there is nothing left to do."""
    fields = {edit.name: _field(edit) for edit in edits if edit.field_path}
    for variable in present:
        if variable["name"] in fields and not _is_same_field(variable, fields[variable["name"]]):
            raise Refused(f"it has a variable {variable['name']} of its own, whose name odigos-cp needs")
    variables = [*fields.values(), *(v for v in present if v["name"] not in fields)]
    own = {variable["name"] for variable in present}
    for edit in edits:
        if edit.merge != "keep":
            _extend(variables, edit)
        elif edit.name not in fields and edit.name not in own and GOES_WITH.get(edit.name) not in own:
            variables.append({"name": edit.name, "value": edit.value})
    return variables


def own_values(env: Mapping[str, str], edits: Iterable[EnvEdit]) -> dict[str, str]:
    """What the environment of a container with these edits would be without them.

    Of an edited variable only what the image has is told: what the Pod itself says of it stands in the Pod.
    """
    own = dict(env)
    for edit in edits:
        own.pop(edit.name, None)
        if edit.base:
            own[edit.name] = edit.base
    return own


def literal(text: str) -> str:
    """A text that Kubernetes shall not expand."""
    return text.replace("$", "$$")


def attributes(pairs: Mapping[str, str]) -> str:
    """Resource attributes as one value; what means something in it, or to Kubernetes, is percent-encoded."""
    return ",".join(f"{key}={quote(value, safe='/:@')}" for key, value in pairs.items())


def keys(value: str) -> frozenset[str]:
    """The keys that a value of OTEL_RESOURCE_ATTRIBUTES shows."""
    return frozenset(pair.partition("=")[0].strip() for pair in value.split(",") if "=" in pair)


def _field(edit: EnvEdit) -> Variable:
    return {"name": edit.name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": edit.field_path}}}


def _is_same_field(variable: Variable, field: Variable) -> bool:
    reference = _source(variable).get("fieldRef")
    return isinstance(reference, dict) and reference.get("fieldPath") == field["valueFrom"]["fieldRef"]["fieldPath"]


def _source(variable: Variable) -> Mapping[str, Any]:
    source = variable.get("valueFrom")
    return source if isinstance(source, dict) else {}


def _is_optional(variable: Variable) -> bool:
    return any(isinstance(source, dict) and source.get("optional") for source in _source(variable).values())


def _extend(variables: list[Variable], edit: EnvEdit) -> None:
    """Carries out one edit in place."""
    index = max((i for i, variable in enumerate(variables) if variable["name"] == edit.name), default=None)
    if index is None:
        if not _is_there(edit, edit.base):
            variables.append({"name": edit.name, "value": _joined(edit, literal(edit.base), edit.base)})
        return
    variable, value = variables[index], variables[index].get("value") or ""
    if variable.get("valueFrom") is None:
        if _is_there(edit, value):
            return
        if not (edit.merge == "attributes" and "$(" in value):
            variables[index] = {**variable, "value": _joined(edit, value, value)}
            return
    if _is_optional(variable) and any(other["name"] == edit.name for other in variables[:index]):
        raise Refused(f"it has {edit.name} twice, and which one counts shows only when it starts")
    original = ORIGINAL + edit.name
    if any(other["name"] == original for other in variables):
        raise Refused(f"it has a variable {original} of its own, whose name odigos-cp needs")
    variables[index : index + 1] = [
        *_default(variable, original, edit),
        {**variable, "name": original},
        {"name": edit.name, "value": _joined(edit, f"$({original})", "")},
    ]


def _is_there(edit: EnvEdit, value: str) -> bool:
    if edit.merge == "attributes":
        return keys(edit.value) <= keys(value)
    return f"{edit.separator}{edit.value}{edit.separator}" in f"{edit.separator}{value}{edit.separator}"


def _joined(edit: EnvEdit, old: str, seen: str) -> str:
    """`old` is how the old value is written here, `seen` what can be seen of it."""
    if not old:
        return edit.value
    if edit.merge == "attributes":
        there = keys(seen)
        missing = ",".join(pair for pair in edit.value.split(",") if pair.partition("=")[0] not in there)
        return f"{old},{missing}" if seen else f"{missing},{old}"
    first, second = (old, edit.value) if edit.merge == "append" else (edit.value, old)
    return f"{first}{edit.separator}{second}"


def _default(variable: Variable, name: str, edit: EnvEdit) -> Iterator[Variable]:
    """An optional reference may lead nowhere: then `$(X)` would stay in the text, and no JVM would start with that.

    Of two variables of one name the later counts, if it is there. What is said first adds nothing to the value.
    """
    if _is_optional(variable):
        yield {"name": name, "value": "" if edit.merge == "append" else edit.value.split(",")[0]}
