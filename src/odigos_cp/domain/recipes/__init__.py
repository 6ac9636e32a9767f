"""How is an application in this language instrumented? One page a language; each is a table entry named RECIPE.

What the detector can name and what stands on no page (a web server, a database, Perl) has no agent either.
"""

from __future__ import annotations

from collections.abc import Mapping

from odigos_cp.domain.recipes import c, cpp, dotnet, go, graalvm, java, nodejs, php, python, ruby, rust
from odigos_cp.domain.recipes.recipe import HOME, NoRecipe, Recipe, without_agent

__all__ = ["ALL", "BY_DISTRIBUTION", "HOME", "NoRecipe", "Recipe", "find"]

_PAGES: tuple[Recipe | NoRecipe, ...] = tuple(
    page.RECIPE for page in (java, python, nodejs, go, rust, cpp, c, graalvm, dotnet, ruby, php)
)
ALL: Mapping[str, Recipe] = {page.language: page for page in _PAGES if isinstance(page, Recipe)}
BY_DISTRIBUTION: Mapping[str, Recipe] = {recipe.distribution: recipe for recipe in ALL.values()}

_REFUSALS: Mapping[str, NoRecipe] = {page.language: page for page in _PAGES if isinstance(page, NoRecipe)}


def find(language: str) -> Recipe | NoRecipe:
    return ALL.get(language) or _REFUSALS.get(language) or without_agent(language, language)
