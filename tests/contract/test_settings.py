"""Which tasks run, and what a wrong setting answers."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

import pytest

from odigos_cp import cli, settings
from odigos_cp.kube.client import Client
from odigos_cp.kube.leader import LeaderGate
from odigos_cp.settings import Settings, from_environment, selected

ALL = frozenset(settings.CONTROLLERS)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("*", ALL),
        ("*,-autoscaler", ALL - {"autoscaler"}),
        ("-ui", ALL - {"ui"}),
        ("scheduler", {"scheduler"}),
        ("scheduler, ui", {"scheduler", "ui"}),
        ("*,-ui,ui", ALL),
    ],
)
def test_controllers_are_chosen_by_name(text: str, chosen: frozenset[str]) -> None:
    assert selected(text) == chosen


@pytest.mark.parametrize("text", ["", " , ", "autoscalar", "*,-instrumenter"])
def test_a_wrong_controller_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(ValueError, match="instrumentor, autoscaler, scheduler, ui"):
        selected(text)


def test_every_setting_has_a_help_and_a_variable() -> None:
    for setting in fields(Settings):
        assert setting.metadata["help"].endswith("."), setting.name
        assert settings.environment_name(setting).isupper()


def test_the_environment_gives_values_of_the_right_type() -> None:
    given = from_environment({"ODIGOS_UI_PORT": "3001", "ODIGOS_WEBHOOK": "false", "ODIGOS_AGENT_IMAGES": "java=j:1"})
    assert given["ui_port"] == 3001
    assert given["webhook"] is False
    assert given["agent_images"]["java"] == "j:1"
    assert "python" in given["agent_images"]


def test_a_lease_has_the_bounds_that_the_leader_knows() -> None:
    def is_accepted(seconds: float) -> bool:
        try:
            LeaderGate(cast(Client, None), namespace="n", name="l", identity="i", lease_seconds=seconds)
        except ValueError:
            return False
        return True

    least, most = settings.LEASE_SECONDS
    assert [is_accepted(s) for s in (least - 0.01, least, most, most + 0.01)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ODIGOS_UI_PORT", "many"), ("ODIGOS_WEBHOOK", "perhaps"), ("ODIGOS_AGENT_IMAGES", "java")],
)
def test_a_wrong_variable_is_named_in_the_error(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable):
        from_environment({variable: value})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--controllers=*,-autoscalar"], "there is no 'autoscalar'"),
        (["run", "--ui-port=x"], "--ui-port"),
        (["run", "--log-level=loud"], "none of debug, info, warning, error"),
        (["run", "--lease-seconds=0.5"], "--lease-seconds: 0.5 is not from 1 to 300"),
        (["run", "--lease-seconds=301"], "--lease-seconds: 301 is not from 1 to 300"),
        (["run", "--lease-seconds=nan"], "--lease-seconds: nan is not from 1 to 300"),
        (["run", "--agent-images=java"], "not key=value"),
        (["describe", "cart", "-n", "shop"], "not kind/name"),
    ],
)
def test_wrong_arguments_end_with_code_2_and_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert says in error
    assert error.count("\n") == 1
