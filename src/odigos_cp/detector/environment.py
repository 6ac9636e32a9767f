"""What of a process' environment may be told? Pure.

The report is readable for everyone who may see pods, so only listed names are told, and no value that looks like a
credential. A value is told whole or not at all, because others extend it: where one that is extended cannot be told,
the environment as a whole counts as unknown. So does one that a process has overwritten with its title.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from odigos_cp.detector.facts import Environment

EXTENDED = frozenset({
    "JAVA_TOOL_OPTIONS", "NODE_OPTIONS", "PYTHONPATH", "RUBYOPT", "PHP_INI_SCAN_DIR", "OTEL_RESOURCE_ATTRIBUTES",
    "CORECLR_ENABLE_PROFILING", "CORECLR_PROFILER", "CORECLR_PROFILER_PATH", "DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS", "DOTNET_SHARED_STORE",
})  # fmt: skip
"""Variables that an instrumentation adds to."""
TOLD = EXTENDED | {
    "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JAVA_VERSION", "NODE_VERSION", "PYTHON_VERSION", "GOLANG_VERSION",
    "RUBY_VERSION", "PHP_VERSION", "DOTNET_VERSION", "ASPNET_VERSION", "NGINX_VERSION", "CORECLR_PROFILER_PATH_64",
}  # fmt: skip
TOLD_PREFIXES = ("OTEL_",)
HIDDEN = "(hidden)"
VALUE_LIMIT = 1024
NAMES_LIMIT = 48

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_CREDENTIAL_NAME = re.compile(r"HEADERS|TOKEN|SECRET|PASSW|API_?KEY|CLIENT_KEY", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"(passw(or)?d|secret|token|credential|api[-_.]?key|private[-_.]?key)[^\s=:,]*[=:]", re.IGNORECASE
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def parse(raw: bytes | None) -> dict[str, str] | None:
    """All variables; None where the process has written over them (or they are too many to read)."""
    if not raw:
        return None
    variables: dict[str, str] = {}
    for entry in raw.removesuffix(b"\0").split(b"\0"):
        name, equals, value = entry.decode("utf-8", "surrogateescape").partition("=")
        if not equals or not name:
            return None
        variables.setdefault(name, value)
    return variables


def tell(variables: Mapping[str, str] | None) -> Environment:
    """The part that may be told."""
    if variables is None:
        return Environment()
    shown: dict[str, str] = {}
    whole = True
    for name in sorted(variables, key=lambda name: (name not in EXTENDED, name)):
        if not _NAME.fullmatch(name) or not (name in TOLD or name.startswith(TOLD_PREFIXES)):
            continue
        if len(shown) == NAMES_LIMIT:
            break
        value = variables[name]
        if _may_be_told(name, value):
            shown[name] = value
        elif name in EXTENDED:
            whole = False
        else:
            shown[name] = HIDDEN
    return Environment(known=whole, shown=shown)


def _may_be_told(name: str, value: str) -> bool:
    secret = _CREDENTIAL_NAME.search(name) or _CREDENTIAL.search(value)
    return not secret and len(value) <= VALUE_LIMIT and not _UNPRINTABLE.search(value)
