"""Whether a variable in the environment can bring an agent in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odigos_cp.detector.facts import ElfFacts, ProcessFacts
from odigos_cp.detector.injectable import is_injectable

AHEAD = ElfFacts(exports={"DotNetRuntimeDebugHeader": 1})
SINGLE = ElfFacts(exports={"DotNetRuntimeDebugHeader": 1, "DotNetRuntimeInfo": 1})


def process(
    *arguments: str, loaded: tuple[str, ...] = (), elf: ElfFacts | None = None, secure: bool = False
) -> ProcessFacts:
    return ProcessFacts(pid=7, exe="/app/x", arguments=arguments, loaded=loaded, elf=elf, secure=secure)


@pytest.mark.parametrize(
    ("language", "facts", "injectable"),
    [
        ("java", process(), True),
        ("java", process(secure=True), True),
        ("java", replace(process(), lacks_agents=True), False),
        ("python", process("python3", "app.py"), True),
        ("python", process(secure=True), True),
        ("python", process("python3", "-I", "app.py"), False),
        ("python", process("python3", "-uE", "app.py"), False),
        ("python", process("python3", "app.py", "-I"), True),
        ("python", process("python3", "-c", "pass"), True),
        ("python", process(loaded=("/tmp/_MEI1234/libpython3.11.so.1.0",)), False),
        ("python", process(loaded=("/opt/app/_internal/libpython3.11.so.1.0",)), False),
        ("python", process(loaded=("/x/libpython3.11.so",), elf=ElfFacts(sections=("pydata",))), False),
        ("nodejs", process(), True),
        ("nodejs", process(secure=True), False),
        ("ruby", process("ruby", "app.rb"), True),
        ("ruby", process("ruby", "--disable=rubyopt", "app.rb"), False),
        ("php", process(), True),
        ("dotnet", process(), True),
        ("dotnet", process(elf=SINGLE), True),
        ("dotnet", process(elf=AHEAD), False),
        ("go", process(), False),
        ("graalvm-native", process(), False),
        ("mono", process(), False),
        ("bun", process(), False),
        ("nginx", process(), False),
        ("unknown", process(), None),
    ],
)
def test_an_agent_comes_in_by_the_environment_where_the_runtime_reads_it(
    language: str, facts: ProcessFacts, injectable: bool | None
) -> None:
    assert is_injectable(language, facts) is injectable
