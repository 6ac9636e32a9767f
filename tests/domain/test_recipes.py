"""The pages of the languages say what their agents are, and agree with the folders of agents/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from odigos_cp.api import report
from odigos_cp.api.application import AgentReason
from odigos_cp.domain import recipes
from odigos_cp.domain.patching import quantity
from odigos_cp.domain.recipes import recipe as page
from odigos_cp.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("language", recipes.ALL)
def test_an_agent_has_a_folder_an_image_and_its_files_where_the_page_says(language: str) -> None:
    found = recipes.ALL[language]
    dockerfile = (ROOT / f"manifests/images/agent-{language}.Dockerfile").read_text()
    assert (ROOT / f"agents/{language}/install.sh").exists()
    assert f'"{found.directory}/"]' in dockerfile
    assert language in Settings().agent_images
    assert found.directory in found.entry.value


@pytest.mark.parametrize("language", recipes.ALL)
def test_the_name_of_the_volume_is_one_that_kubernetes_takes(language: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", recipes.ALL[language].volume)
    assert quantity(recipes.ALL[language].files_limit) > 2**26


@pytest.mark.parametrize(
    ("language", "version", "supported"),
    [
        ("java", "8.0.472", True),
        ("java", "1.8.0_392", True),
        ("java", "1.7.0_80", False),
        ("java", "7.0", False),
        ("java", "21", True),
        ("java", "25+36", True),
        ("python", "3.9.18", False),
        ("python", "3.10", True),
        ("python", "3.14.0rc1", True),
        ("python", "2.7.18", False),
        ("nodejs", "12.22.12", False),
        ("nodejs", "18.18.2", False),
        ("nodejs", "18.19.0", True),
        ("nodejs", "19.9.0", False),
        ("nodejs", "20.5.1", False),
        ("nodejs", "20.6.0", True),
        ("nodejs", "v24.9.0", True),
        ("java", "", True),
        ("python", "unknown", True),
    ],
)
def test_versions_are_compared_as_numbers_and_an_unknown_one_is_no_refusal(
    language: str, version: str, supported: bool
) -> None:
    assert recipes.ALL[language].supports(version) == supported


@pytest.mark.parametrize("language", [one for one in report.LANGUAGES if one != report.UNKNOWN])
def test_every_language_that_the_detector_names_has_an_agent_or_a_reason(language: str) -> None:
    found = recipes.find(language)
    assert found.language == language
    if isinstance(found, recipes.NoRecipe):
        assert found.reason in (AgentReason.NO_AGENT, AgentReason.COMPILED_LANGUAGE)
        assert found.title in found.message
        assert found.message.endswith("The application runs on unchanged")


def test_compiled_languages_are_told_of_ebpf() -> None:
    for language in ("go", "rust", "cpp"):
        found = recipes.find(language)
        assert isinstance(found, recipes.NoRecipe)
        assert "eBPF" in found.message


def test_agents_are_found_by_their_names() -> None:
    assert sorted(recipes.BY_DISTRIBUTION) == ["java-opentelemetry", "nodejs-opentelemetry", "python-opentelemetry"]


def test_a_text_without_a_number_has_no_version() -> None:
    assert page.parse_version("latest") == ()
    assert page.parse_version("1") == (1,)
