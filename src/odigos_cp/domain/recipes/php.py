"""PHP: its agent is an extension for each PHP version, which comes with a later release."""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import without_agent

RECIPE = without_agent("php", "PHP")
