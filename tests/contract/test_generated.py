"""What is generated is current: somebody who changes a model sees it here, not in a cluster."""

from __future__ import annotations

from manifests import generate
from odigos_cp.controllers import access


def test_the_files_of_manifests_are_what_the_code_says() -> None:
    stale = [path.name for path, text in generate.files().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run `make generate` and commit the result"


def test_no_right_reads_a_secret() -> None:
    reading = {"get", "list", "watch", "patch", "update", "*"}
    assert [r for r in access.TABLE if r.resource == "secrets" and reading & set(r.verbs)] == []


def test_no_right_is_a_wildcard() -> None:
    assert [r for r in access.TABLE if "*" in (r.group, r.resource, *r.verbs)] == []


def test_workloads_are_only_ever_patched() -> None:
    cluster_wide = [r for r in access.TABLE if r.everywhere and r.group == "apps"]
    assert {verb for r in cluster_wide for verb in r.verbs} == {"get", "list", "watch", "patch"}
