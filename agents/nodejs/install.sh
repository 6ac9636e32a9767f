#!/bin/sh
# Fills a directory with the Node.js agent: install.sh TARGET. Used by the image build and by the tests.
# Source maps, type declarations and the builds for browsers and bundlers go: they are two thirds of the files that an
# init container would copy into every pod.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$1
mkdir -p "$target"
cp "$here/package.json" "$here/package-lock.json" "$here/shim.cjs" "$target/"
cd "$target"
npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.md' \
    -o -name '*.markdown' -o -name '*.tsbuildinfo' \) -delete
find node_modules -type d \( -path '*/@opentelemetry/*/build/esm' -o -path '*/@opentelemetry/*/build/esnext' \) -prune -exec rm -r {} +
rm -r node_modules/.bin
