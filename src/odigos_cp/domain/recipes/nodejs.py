"""Node.js: an entry of our own, by NODE_OPTIONS, and OpenTelemetry's SDK with all its instrumentations.

The entry (agents/nodejs/shim.cjs says what the stock one breaks) has the exporter's short timeout and the resource
detectors that ask no cloud for its metadata. A Node.js that gained privileges when it was started does not heed
NODE_OPTIONS.
"""

from __future__ import annotations

from odigos_cp.domain.recipes.recipe import HOME, Entry, Recipe

RECIPE = Recipe(
    language="nodejs",
    title="Node.js",
    distribution="nodejs-opentelemetry",
    entry=Entry("NODE_OPTIONS", f"--require {HOME}/nodejs/shim.cjs", "append", " "),
    needs="Node.js 18.19, 20.6 or newer",
    supported=(((18, 19), (19,)), ((20, 6), None)),
    files_limit="96Mi",
    secure_execution=False,
)
