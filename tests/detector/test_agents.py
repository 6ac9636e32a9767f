"""Other vendors' agents: what proves one, and what only looks like it."""

from __future__ import annotations

import re

import pytest

from odigos_cp.detector import agents


@pytest.mark.parametrize(
    ("variables", "arguments", "paths", "found"),
    [
        ({"JAVA_TOOL_OPTIONS": "-javaagent:/dd/dd-java-agent.jar"}, (), (), ("datadog",)),
        ({"NODE_OPTIONS": "--require @opentelemetry/auto-instrumentations-node/register"}, (), (), ("opentelemetry",)),
        ({"PYTHONPATH": "/usr/lib/python3/dist-packages/newrelic/bootstrap"}, (), (), ("newrelic",)),
        ({"PYTHONPATH": "/otel-auto-instrumentation-python/opentelemetry"}, (), (), ("opentelemetry",)),
        ({"CORECLR_PROFILER": "{918728DD-259F-4A6A-AC2B-B85E1B658318}"}, (), (), ("opentelemetry",)),
        ({"CORECLR_PROFILER": "{846f5f1c-f9ae-4b07-969e-05c26bc060d8}"}, (), (), ("datadog",)),
        ({"CORECLR_PROFILER": "{36032161-FFC0-4B61-B559-F6C5D41BAE5A}"}, (), (), ("newrelic",)),
        ({"LD_PRELOAD": "/opt/dynatrace/oneagent/agent/lib64/liboneagentproc.so"}, (), (), ("dynatrace",)),
        ({"RUBYOPT": "-rnewrelic_rpm"}, (), (), ("newrelic",)),
        ({}, ("java", "-javaagent:/x/elastic-apm-agent.jar"), (), ("elastic",)),
        ({}, ("java", "-cp", "/app", "-javaagent:/opt/AppServerAgent/javaagent.jar", "Main"), (), ("appdynamics",)),
        ({}, ("java", "-javaagent:/x/splunk-otel-javaagent.jar", "-jar", "app.jar"), (), ("splunk",)),
        ({}, ("java", "-javaagent:/skywalking/skywalking-agent.jar", "-jar", "app.jar"), (), ("skywalking",)),
        ({}, ("node", "-r", "dd-trace/init", "app.js"), (), ("datadog",)),
        ({}, ("node", "--require=newrelic", "app.js"), (), ("newrelic",)),
        ({}, ("node", "--import", "@opentelemetry/auto-instrumentations-node/register", "a"), (), ("opentelemetry",)),
        ({}, ("python3", "/usr/bin/ddtrace-run", "gunicorn"), (), ("datadog",)),
        ({}, (), ("/opt/dynatrace/oneagent/lib64/liboneagentproc.so",), ("dynatrace",)),
        ({}, (), ("/app/lib/python3.11/site-packages/ddtrace/internal/_encoding.cpython-311.so",), ("datadog",)),
        ({}, (), ("/usr/lib/php/20220829/newrelic.so", "/usr/lib/php/20220829/opcache.so"), ("newrelic",)),
        ({}, (), ("/usr/lib/php/20220829/opentelemetry.so",), ("opentelemetry",)),
        ({"JAVA_TOOL_OPTIONS": "-javaagent:/odigos-cp/java/javaagent.jar"}, (), (), ()),
        ({"JAVA_TOOL_OPTIONS": "-javaagent:/opt/jmx_prometheus_javaagent.jar=8080"}, (), (), ()),
        (
            {"DD_SERVICE": "cart", "DD_ENV": "prod", "NEW_RELIC_LICENSE_KEY": "x", "ELASTIC_APM_SERVER_URL": "u"},
            (),
            (),
            (),
        ),
        ({}, ("node", "app.js", "--note=newrelic", "dd-trace"), (), ()),
        ({}, ("python3", "compare.py", "opentelemetry-instrument", "ddtrace-run"), (), ()),
        (None, (), (), ()),
    ],
)
def test_other_agents_are_named_where_they_are_proven(
    variables: dict[str, str] | None, arguments: tuple[str, ...], paths: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert agents.find(variables, arguments, paths, "unknown") == found


def test_a_variable_of_another_runtime_brings_nothing_into_this_one() -> None:
    """An image with JAVA_TOOL_OPTIONS in it, for an application in Node.js."""
    left_over = {"JAVA_TOOL_OPTIONS": "-javaagent:/dd/dd-java-agent.jar"}
    assert agents.find(left_over, (), (), "nodejs") == ()
    assert agents.find(left_over, (), (), "nginx") == ()
    assert agents.find(left_over, (), (), "java") == ("datadog",)
    assert agents.find(left_over, (), (), "unknown") == ("datadog",), "a shell may start a Java"
    assert agents.find({"LD_PRELOAD": "/opt/x/liboneagentproc.so"}, (), (), "go") == ("dynatrace",)


def test_every_vendor_has_a_name_that_a_report_may_carry() -> None:
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", vendor) for vendor, _ in agents.VENDORS)


def test_a_file_that_is_only_mapped_tells_an_agent() -> None:
    assert agents.TELLING.search(b"/opt/dd/dd-java-agent.jar")
    assert not agents.TELLING.search(b"/usr/lib/locale/C.utf8/LC_CTYPE")
