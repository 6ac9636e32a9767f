"""The CRDs are structural, and say what the models say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from odigos_cp.api import crd

SCHEMAS = {
    name: body["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for name, body in sorted(crd.render().items())
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from nodes(schema[word], f"{path}[{word}]")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_node_has_one_type_and_nothing_that_is_not_structural(name: str) -> None:
    for path, node in nodes(SCHEMAS[name]):
        assert isinstance(node.get("type"), str), f"{name}{path} has no type: {node}"
        assert not {"$ref", "anyOf", "title", "default", "const"} & node.keys(), f"{name}{path}: {sorted(node)}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_keys_of_a_map_list_are_required_so_that_an_apply_can_merge_it(name: str) -> None:
    for path, node in nodes(SCHEMAS[name]):
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], f"{name}{path}: key {key} may be missing"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_list_says_how_an_apply_treats_it(name: str) -> None:
    for path, node in nodes(SCHEMAS[name]):
        if node["type"] == "array":
            assert "x-kubernetes-list-type" in node, f"{name}{path} does not say atomic, set or map"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_kind_has_printer_columns_that_start_with_what_a_user_looks_for(name: str) -> None:
    columns = crd.render()[name]["spec"]["versions"][0]["additionalPrinterColumns"]
    assert len(columns) >= 2
    assert columns[-1]["name"] == "Age"
