#!/bin/sh
# Fills a directory with the Python agent: install.sh TARGET. Used by the image build and by the tests.
# Only wheels without native code, for the oldest supported Python: one directory serves every CPython from 3.10, every
# C library and every architecture.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$1
mkdir -p "$target"
cp -r "$here/boot" "$target/"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
    --target "$target/agent" --only-binary=:all: --platform any --implementation py --abi none --python-version 3.10 \
    --require-hashes --requirement "$here/requirements.lock"
rm -rf "$target/agent/bin"
python3 -m compileall -q --invalidation-mode unchecked-hash "$target"
