"""Java: the OpenTelemetry Java agent, by JAVA_TOOL_OPTIONS.

Every JVM of the container reads it, also those of tools such as keytool. A JVM that cannot find the file does not
start, so the file comes by a volume that Kubernetes guarantees. Its exporter's timeout is in milliseconds; without the
short one a dead collector would hold up the end of the application for ten seconds.
"""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import HOME, Entry, Recipe

RECIPE = Recipe(
    language="java",
    title="Java",
    distribution="java-opentelemetry",
    entry=Entry("JAVA_TOOL_OPTIONS", f"-javaagent:{HOME}/java/javaagent.jar", "append", " "),
    needs="Java 8 or newer",
    supported=(((8,), None),),
    files_limit="96Mi",
    env=(("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),),
)
