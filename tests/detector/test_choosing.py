"""Which process speaks for a container."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odigos_cp.detector.choosing import choose
from odigos_cp.detector.facts import ElfFacts, ProcessFacts

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


def test_what_entered_the_container_from_outside_does_not_speak_for_it() -> None:
    """`kubectl exec`, and the commands of probes: their parent is the runtime's, not the container's first process."""
    main = process(10, "/usr/bin/node", LIBNODE, parent=9)
    first = replace(main, namespace_pids=(10, 1))
    entered = process(20, "/usr/bin/python3.11", LIBPYTHON, parent=9, listening=True)
    assert choose([first, entered]).verdict == "nodejs"
    assert choose([replace(first, exe="/bin/sleep", loaded=()), entered]).reason == "noRuntime"


def test_where_the_first_process_is_out_of_sight_nobody_counts_as_entered() -> None:
    entered = process(20, "/usr/bin/python3.11", LIBPYTHON, parent=9)
    assert choose([entered]).verdict == "python"


def test_a_compiled_program_over_an_interpreter_is_not_guessed_where_neither_listens() -> None:
    go = replace(process(5, "/app/run"), elf=ElfFacts(go_version="go1.26.8"), namespace_pids=(5, 1))
    python = replace(PYTHON, parent=5)
    assert choose([go, python]).reason == "conflict"
    assert choose([go, replace(python, listening=True)]).verdict == "python"
    assert choose([replace(go, listening=True), python]).verdict == "go"


def test_an_interpreter_over_a_compiled_helper_speaks() -> None:
    java = replace(JAVA, namespace_pids=(4, 1))
    helper = replace(process(5, "/opt/app/controller", parent=4), elf=ElfFacts(go_version="go1.26.8"))
    assert choose([java, helper]).verdict == "java"


def test_what_observes_an_application_stands_back_for_it() -> None:
    java = replace(JAVA, listening=True)
    exporter = process(5, "/opt/jmx_exporter", parent=1, listening=True)
    exporter = replace(exporter, elf=ElfFacts(go_version="go1.26.8"))
    assert choose([java, exporter]).verdict == "java"
    assert choose([exporter]).verdict == "go"


def test_the_helpers_of_a_runtime_are_no_programs_in_c() -> None:
    elf = ElfFacts(interpreter="/lib64/ld-linux-x86-64.so.2", needed=("libc.so.6",), sections=(".text",))
    erlang = replace(process(5, "/usr/lib/erlang/erts-13.1.5/bin/beam.smp"), elf=elf, namespace_pids=(5, 1))
    epmd = replace(process(6, "/usr/lib/erlang/erts-13.1.5/bin/epmd", parent=5, listening=True), elf=elf)
    assert choose([erlang, epmd]).verdict == "erlang"


@pytest.mark.parametrize(
    "arguments",
    [
        ("node", "/usr/lib/node_modules/npm/bin/npm-cli.js", "start"),
        ("node", "--max-old-space-size=512", "/usr/local/bin/pm2-runtime", "app.js"),
        ("PM2 v5.3.0: God Daemon (/root/.pm2)",),
        ("npm run start",),
        ("/usr/bin/python3", "-m", "honcho", "start"),
    ],
)
def test_managers_are_known_by_what_they_were_told_to_run(arguments: tuple[str, ...]) -> None:
    manager = replace(process(5, "/usr/bin/node", LIBNODE, listening=True), arguments=arguments)
    app = process(6, "/usr/bin/ruby3.1", "/usr/lib/libruby-3.1.so.3.1.7", parent=5)
    assert choose([manager, app]).verdict == "ruby"


def test_an_application_that_is_given_a_managers_name_as_an_argument_is_none() -> None:
    node = replace(process(5, "/usr/bin/node", LIBNODE), arguments=("node", "/app/server.js", "npm", "pm2"))
    python = replace(PYTHON, parent=5)
    assert choose([node, python]).verdict == "nodejs"


def test_an_application_with_the_name_of_a_tool_is_an_application() -> None:
    go = ElfFacts(go_version="go1.26.8")
    assert choose([replace(process(5, "/app/logger"), elf=go)]).verdict == "go"
    assert choose([replace(process(5, "/usr/bin/logger"), elf=go)]).reason == "noRuntime"


@pytest.mark.parametrize(
    "arguments",
    [
        ("/usr/bin/python3", "/usr/bin/gunicorn", "--bind", "unix:/run/app.sock"),
        ("/usr/bin/python3", "-m", "uvicorn", "--uds", "/run/app.sock"),
        ("gunicorn: master [wsgi:app]",),
        ("puma 6.4.2 (unix:///run/app.sock) [app]",),
    ],
)
def test_a_web_server_steps_back_for_an_application_server_on_a_socket_of_the_file_system(
    arguments: tuple[str, ...],
) -> None:
    nginx = process(5, "/usr/sbin/nginx", listening=True)
    assert choose([nginx, replace(PYTHON, arguments=arguments)]).verdict == "python"


def test_a_helper_beside_a_web_server_does_not_speak_for_it() -> None:
    nginx = process(5, "/usr/sbin/nginx", listening=True)
    helper = replace(PYTHON, arguments=("/usr/bin/python3", "/opt/renew_certificates.py"))
    assert choose([nginx, helper]).verdict == "nginx"
