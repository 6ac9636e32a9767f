"""The UI's types say what the API says."""

from __future__ import annotations

import pytest

from odigos_cp.web import typescript, views

TEXT = typescript.render()


def interface(name: str) -> str:
    return TEXT.partition(f"export interface {name} {{")[2].partition("\n}")[0]


def test_every_view_has_its_interface() -> None:
    names = [line.split()[2] for line in TEXT.splitlines() if line.startswith("export interface")]
    assert "ApplicationsView" in names
    assert names == [model.__name__ for model in typescript.models()]


def test_names_are_those_of_the_wire_and_responses_are_complete() -> None:
    assert "podsReady: number" in interface("ApplicationView")
    assert "tasks: TaskView[]" in interface("MetaView")
    assert "counts: Record<string, number>" in interface("ApplicationsView")
    assert "?:" not in interface("TaskView"), "a default is still said"


def test_states_are_words_that_the_compiler_knows() -> None:
    assert '"notSelected" | "waiting"' in interface("ApplicationView")
    assert 'topics: ("sources" | "destinations" | "collectors" | "meta")[]' in interface("ChangedEvent")


def test_what_a_request_may_leave_out_is_optional() -> None:
    assert "display?: string" in interface("NewDestinationRequest")
    assert "type: string" in interface("NewDestinationRequest")


def test_a_shape_it_does_not_know_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class OddView(views.View):
        anything: object

    monkeypatch.setattr(views, "OddView", OddView, raising=False)
    with pytest.raises(ValueError, match="no TypeScript"):
        typescript.render()
