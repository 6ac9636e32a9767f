"""Java compiled ahead of time by GraalVM: there is no JVM in it that would load an agent."""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import compiled

RECIPE = compiled("graalvm-native", "A GraalVM native image")
