"""C: compiled, so an agent inside the process is not possible."""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import compiled

RECIPE = compiled("c", "C")
