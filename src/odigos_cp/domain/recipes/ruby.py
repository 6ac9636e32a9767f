"""Ruby: its agent's packages come with a later release."""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import without_agent

RECIPE = without_agent("ruby", "Ruby")
