"""Which process speaks for a container."""

from __future__ import annotations

from dataclasses import replace

from odigos_cp.detector.choosing import choose
from odigos_cp.detector.facts import ProcessFacts

LIBPYTHON = "/usr/local/lib/libpython3.12.so.1.0"
LIBJVM = "/opt/jre/lib/server/libjvm.so"
LIBNODE = "/usr/lib/libnode.so.108"


def process(
    pid: int, exe: str, loaded: str = "", *, parent: int = 0, listening: bool = False, title: str = ""
) -> ProcessFacts:
    return ProcessFacts(
        pid=pid,
        parent=parent,
        namespace_pids=(pid, pid),
        exe=exe,
        loaded=(loaded,) if loaded else (),
        listening=listening,
        arguments=(title,) if title else (),
    )


SHELL = process(1, "/bin/dash")
PYTHON = process(2, "/usr/local/bin/python3.12", LIBPYTHON, parent=1)
NODE = process(3, "/usr/bin/node", LIBNODE, parent=2)
JAVA = process(4, "/opt/jre/bin/java", LIBJVM, parent=1)


def test_no_process_is_told_apart_from_no_runtime() -> None:
    assert choose([]).reason == "noProcess"
    assert choose([SHELL]).reason == "noRuntime"


def test_a_zombie_is_no_process() -> None:
    assert choose([replace(PYTHON, state="Z")]).reason == "noProcess"


def test_what_cannot_be_read_is_told_as_such() -> None:
    assert choose([ProcessFacts(pid=1, unreadable=("exe", "loaded"))]).reason == "unreadable"


def test_a_shell_does_not_speak_for_the_program_it_started() -> None:
    assert choose([SHELL, PYTHON]).verdict == "python"


def test_whoever_listens_speaks() -> None:
    assert choose([PYTHON, replace(NODE, listening=True)]).verdict == "nodejs"


def test_of_two_that_listen_the_ancestor_speaks_and_the_other_is_told() -> None:
    choice = choose([replace(NODE, listening=True), replace(PYTHON, listening=True)])
    assert choice.verdict == "python"
    assert [item.says for item in choice.evidence if item.rule == "another-process"] == ["nodejs"]


def test_two_languages_side_by_side_are_a_conflict_and_no_guess() -> None:
    choice = choose([PYTHON, JAVA])
    assert (choice.verdict, choice.reason, choice.main) == ("unknown", "conflict", None)
    assert {"python", "java"} <= {item.says for item in choice.evidence}


def test_a_process_manager_steps_back_for_what_it_manages() -> None:
    npm = process(1, "/usr/bin/node", LIBNODE, title="npm start")
    assert choose([npm, replace(PYTHON, parent=1)]).verdict == "python"
    assert choose([npm]).verdict == "nodejs"


def test_a_web_server_steps_back_for_php_which_listens_on_no_port() -> None:
    nginx = process(5, "/usr/sbin/nginx", listening=True)
    php = process(6, "/usr/sbin/php-fpm8.2")
    assert choose([nginx, php]).verdict == "php"


def test_a_cycle_of_parents_ends() -> None:
    choice = choose([replace(PYTHON, parent=3), replace(JAVA, pid=3, parent=2)])
    assert choice.verdict in ("python", "java", "unknown")


def test_the_first_process_is_the_one_with_number_one_inside() -> None:
    first = choose([PYTHON, replace(SHELL, pid=900, namespace_pids=(900, 1))]).first
    assert first is not None
    assert first.pid == 900
