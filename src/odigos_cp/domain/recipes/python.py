"""Python: an entry of our own, by PYTHONPATH, and OpenTelemetry's SDK with OTLP as JSON.

Only the entry's directory stands before the application's own packages (agents/python/boot/sitecustomize.py says why).
The entry itself turns `otlp` into the exporter that needs no protobuf, and the timeout into the seconds that Python's
SDK counts in: neither is set here, because the application's children would read it and take it for something else.
"""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import HOME, Entry, Recipe

RECIPE = Recipe(
    language="python",
    title="Python",
    distribution="python-opentelemetry",
    entry=Entry("PYTHONPATH", f"{HOME}/python/boot", "prepend", ":"),
    needs="Python 3.10 or newer",
    supported=(((3, 10), None),),
    files_limit="96Mi",
)
