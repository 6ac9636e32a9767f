"""Each setting is told with its origin; where there is no object, an empty one is made."""

from __future__ import annotations

from datetime import UTC, datetime

from odigos_cp.api.configuration import OdigosConfiguration
from odigos_cp.domain import effective
from odigos_cp.domain.plan import Apply, Create
from tests.builders import configuration, meta

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SYSTEM = "odigos-system"


def told(of: OdigosConfiguration) -> dict[str, str]:
    (write,) = effective.plan(of, SYSTEM, NOW).writes
    assert isinstance(write, Apply)
    found: dict[str, str] = write.body["status"].get("effective", {})
    return found


def test_where_there_is_none_an_empty_one_is_made() -> None:
    (write,) = effective.plan(None, SYSTEM, NOW).writes
    assert isinstance(write, Create)
    assert (write.body["spec"], write.body["metadata"]["namespace"]) == ({}, SYSTEM)


def test_every_setting_says_whether_the_object_or_the_default_gave_it() -> None:
    settings = told(configuration(rollout={"maxConcurrent": 2}, ignoredNamespaces=["a", "b"]))
    assert settings["rollout.maxConcurrent"] == "2 (OdigosConfiguration)"
    assert settings["rollout.automatic"] == "True (default)"
    assert settings["ignoredNamespaces"] == "a, b (OdigosConfiguration)"
    assert settings["collectors.gateway.memoryLimitMiB"] == "512 (default)"


def test_an_object_of_another_name_is_told_that_it_changes_nothing() -> None:
    other = OdigosConfiguration.model_validate({"metadata": meta("other", SYSTEM)})
    (write,) = effective.plan(other, SYSTEM, NOW).writes
    assert isinstance(write, Apply)
    (said,) = write.body["status"]["conditions"]
    assert (said["status"], said["reason"]) == ("False", "OtherName")


def test_a_long_value_is_cut() -> None:
    settings = told(configuration(ignoredNamespaces=["x" * 60 + str(n) for n in range(50)]))
    assert len(settings["ignoredNamespaces"]) < 300
