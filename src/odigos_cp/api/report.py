"""What the detector answers: the JSON of a termination message, and whether it may be believed.

The text comes from a pod that was near hostile processes: nothing of it is taken that does not fit its bounds, and an
answer to another question (another nonce, another container) is none. The detector's own code is not imported: the
contract is this JSON, schema 1. odigos_cp/detector/report.py says it from the other side; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

SCHEMA = 1
LIMIT_BYTES = 4096
"""Kubernetes cuts a termination message there."""

UNKNOWN = "unknown"
LANGUAGES: tuple[str, ...] = (
    "java", "python", "nodejs", "go", "dotnet", "ruby", "php", "rust", "cpp", "nginx",
    "apache", "bun", "c", "deno", "erlang", "graalvm-native", "lua", "mono", "mysql", "perl", "postgres", "redis",
    UNKNOWN,
)  # fmt: skip

Reason = Literal["noProcess", "noRuntime", "conflict", "unreadable"]

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,47}$")]
Line = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Part(BaseModel):
    """Unknown fields are a newer detector's: ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", strict=True)


class Evidence(Part):
    rule: Word
    saw: Line = ""
    says: Word
    weight: int = Field(ge=0, le=100)


class Container(Part):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    verdict: Word
    reason: Reason | None = None
    version: Version | None = None
    libc: Literal["glibc", "musl", "static"] | None = None
    confidence: int = Field(ge=0, le=100)
    secure: bool = False
    injectable: bool | None = None
    """Whether a variable in the environment can bring an agent in; None: nothing speaks for the container."""
    agents: tuple[Word, ...] = Field(default=(), max_length=16, strict=False)
    env: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")], str] = Field(
        default={}, max_length=64
    )
    env_known: bool = False
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=32, strict=False)
    processes: int = Field(default=0, ge=0)
    error: Line | None = None


class Report(Part):
    schema_: Literal[1] = Field(alias="schema")
    nonce: str
    containers: tuple[Container, ...] = Field(max_length=32, strict=False)
    truncated: bool = False


class UnbelievableError(ValueError):
    """The text is no answer to what was asked; the message says why, without repeating the text."""


def read(text: str, nonce: str, asked: Mapping[str, str]) -> dict[str, Container]:
    """The answers by container name. `asked` has the container ids by name; none that was not asked for comes back."""
    if not text:
        raise UnbelievableError("the detector ended without an answer")
    if len(text.encode("utf-8", "replace")) > LIMIT_BYTES:
        raise UnbelievableError(f"the answer is longer than {LIMIT_BYTES} bytes")
    try:
        report = Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise UnbelievableError(
            f"the answer does not fit the contract: {where or 'JSON'}: {first['msg'][:120]}"
        ) from None
    if report.nonce != nonce:
        raise UnbelievableError("the answer is to another question: its nonce differs")
    answers: dict[str, Container] = {}
    for container in report.containers:
        if container.verdict not in LANGUAGES:
            raise UnbelievableError(f"the answer names a language that there is not: {container.verdict}")
        if asked.get(container.name, "")[:12] != container.id or container.name in answers:
            raise UnbelievableError("the answer is about a container that was not asked for, or twice about one")
        answers[container.name] = container
    return answers
