"""Whose agent is in a process already? Pure: by files that are loaded, or that an option names to be loaded.

A variable that would only configure an agent (DD_SERVICE, NEW_RELIC_LICENSE_KEY) proves none: it is often set for a
whole namespace. What proves one is a library in the process, or an option that the runtime itself obeys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from odigos_cp.detector.languages import UNKNOWN

OBEYED: Mapping[str, tuple[str, ...]] = {
    # language: variables that make its runtime load something
    "java": ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"),
    "nodejs": ("NODE_OPTIONS",),
    "python": ("PYTHONPATH",),
    "ruby": ("RUBYOPT",),
    "php": ("PHP_INI_SCAN_DIR",),
    "dotnet": ("CORECLR_PROFILER", "CORECLR_PROFILER_PATH", "CORECLR_PROFILER_PATH_64", "DOTNET_STARTUP_HOOKS"),
}
ALWAYS_OBEYED = ("LD_PRELOAD",)
"""By the loader, whatever the program."""

VENDORS: tuple[tuple[str, str], ...] = (
    # vendor, what names its agent in an option or in the path of a loaded file
    ("opentelemetry", r"opentelemetry-javaagent|@opentelemetry/|otel-auto-instrumentation|opentelemetry-instrument\b"
                      r"|opentelemetry/instrumentation/auto_instrumentation|OpenTelemetry\.AutoInstrumentation"
                      r"|/opentelemetry\.so|libotelinject|918728DD-259F-4A6A-AC2B-B85E1B658318"),
    ("datadog", r"dd-java-agent|\bdd-trace\b|\bddtrace\b|dd-lib-python|Datadog\.(Trace|AutoInstrumentation|Linux\.)"
                r"|@datadog/|/opt/datadog(-apm|-packages)?/|/datadog-lib/|846F5F1C-F9AE-4B07-969E-05C26BC060D8"),
    ("newrelic", r"newrelic(_rpm)?\b|NewRelic\.|NewRelicProfiler"
                 r"|(36032161-FFC0-4B61-B559-F6C5D41BAE5A|71DA0A04-7777-4EC6-9643-7D28B46A8A41)"),
    ("dynatrace", r"liboneagent|/dynatrace/oneagent|/oneagent/|@dynatrace/|B7038F67-52FC-4DA2-AB02-969B3C1EDA03"),
    ("elastic", r"elastic-apm-(agent|node)|elasticapm|elastic_apm|Elastic\.(Apm|OpenTelemetry)|elastic-otel"
                r"|@elastic/opentelemetry|FA65FE15-F085-4681-9B20-95E04F6C03CC"),
    ("appdynamics", r"appdynamics|AppServerAgent|\bappd-|57E1AA68-2229-41AA-9931-A6E93BBC64D8"
                    r"|39AEABC1-56A5-405F-B8E7-C3668490DB4A"),
    ("splunk", r"splunk-otel|splunk_otel|@splunk/otel|signalfx-|Splunk\.OpenTelemetry|splunk-py-trace"
               r"|B4C89B0F-9908-4F73-9F59-0D77C5A06874"),
    ("instana", r"\binstana\b|@instana/|cf0d821e-299b-5307-a3d8-b283c03916dd"),
    ("skywalking", r"skywalking"),
    ("aws", r"aws-opentelemetry-agent|aws-distro-opentelemetry|@aws/aws-distro-opentelemetry|adot-autoinstrumentation"),
    ("azure", r"applicationinsights-agent|azure-monitor-opentelemetry"),
    ("grafana", r"grafana-opentelemetry"),
    ("honeycomb", r"honeycomb-opentelemetry"),
    ("pinpoint", r"pinpoint-bootstrap"),
)  # fmt: skip
_VENDORS = tuple((vendor, re.compile(pattern, re.IGNORECASE)) for vendor, pattern in VENDORS)

TELLING = re.compile("|".join(pattern for _, pattern in VENDORS).encode(), re.IGNORECASE)
"""Paths of files that are worth telling even where no code of theirs is mapped."""

_LOADING = re.compile(r"(-javaagent:|-agentpath:|-agentlib:|--(require|import|loader|experimental-loader)=|-r).+")
_LOADING_NEXT = frozenset({"-r", "--require", "--import", "--loader", "--experimental-loader", "-m"})
_LAUNCHERS = re.compile(
    r"(.*/)?(ddtrace-run|newrelic-admin|opentelemetry-instrument|elasticapm-run|splunk-py-trace|sw-python)"
)
_FIRST_WORDS = 3


def find(
    variables: Mapping[str, str] | None, arguments: Iterable[str], paths: Iterable[str], language: str
) -> tuple[str, ...]:
    """The vendors that are proven, sorted. A process of no known language may yet start one that obeys a variable."""
    given = variables or {}
    runtimes = [OBEYED[language]] if language in OBEYED else OBEYED.values() if language == UNKNOWN else ()
    obeyed = (*ALWAYS_OBEYED, *(name for names in runtimes for name in names))
    words = (*(given.get(name, "") for name in obeyed), *_options(tuple(arguments)), *paths)
    return tuple(sorted({vendor for vendor, pattern in _VENDORS if any(pattern.search(word) for word in words)}))


def _options(arguments: tuple[str, ...]) -> Iterator[str]:
    """The words by which the runtime is told to load something; not those for the application."""
    for at, word in enumerate(arguments):
        before = arguments[at - 1] if at else ""
        if before in _LOADING_NEXT or _LOADING.fullmatch(word):
            yield word
        elif at < _FIRST_WORDS and (launcher := _LAUNCHERS.fullmatch(word)):
            yield launcher.group(2)
        elif at and not word.startswith("-") and not before.startswith("-"):
            return
