# odigos-cp. `make help` explains every target.
#
# Needs a Debian 12 machine (or like it) with root, Go 1.26, Python 3.11 and Node 20; everything else is installed here.
# What is slow to make is kept under $(CACHE), by content: the second time is quick.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CACHE := $(or $(ODIGOS_CP_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/odigos-cp)
BIN := .venv/bin
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
UI_SOURCES := $(shell git ls-files -co --exclude-standard ui 2>/dev/null)
BUNDLE := src/odigos_cp/web/static/index.html
FAST_TESTS := tests --ignore=tests/e2e --ignore=tests/browser --ignore=tests/cluster

export ODIGOS_CP_CACHE := $(CACHE)

##@ Run it

.PHONY: run
run: venv ui ## Build everything, start a real cluster, install odigos-cp, instrument the demo shop, show a trace, hold the UI open
	$(BIN)/python -m cluster.walk

.PHONY: down
down: venv ## Stop the cluster of `make run` and remove everything it made (the build cache stays: `make clean`)
	$(BIN)/python -m cluster down --name run

.PHONY: clean
clean: ## Remove the build cache, the virtual environment and built files (run `make down` first)
	rm -rf $(CACHE) .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache ui/node_modules ui/.next ui/out src/odigos_cp/web/static

##@ Test it

.PHONY: test
test: check test-fast test-browser test-cluster ## Every test: checks, fast ones, the browser, and the walk on a real two-node cluster

.PHONY: test-fast
test-fast: venv ## The tests that need no cluster and no browser
	$(BIN)/pytest $(FAST_TESTS) -q

.PHONY: test-browser
test-browser: venv ui chromium ## The UI in a real headless Chromium
	$(BIN)/pytest tests/browser -q

.PHONY: test-cluster
test-cluster: venv ui chromium ## The tests on a real cluster; KEEP=1 leaves it running for the next time
	$(BIN)/pytest tests/cluster tests/e2e -q $(if $(KEEP),--keep-cluster)

##@ Change it

.PHONY: check
check: venv ## Lint, types, architecture, and generated files: run it before each commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manifests/generate.py --check

.PHONY: format
format: venv ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: venv ## Write the generated files: CRDs, RBAC, the UI's types
	$(BIN)/python manifests/generate.py

.PHONY: lock
lock: $(UV) ## Resolve the dependencies again, within their bounds, and pin them with hashes
	$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --upgrade pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --upgrade --constraint requirements.lock --group dev pyproject.toml -o requirements-dev.lock

.PHONY: hooks
hooks: venv ## Install the git hooks that run `make check` before a commit
	$(BIN)/pre-commit install

##@ Parts

.PHONY: venv
venv: .venv/.current ## The Python environment, exactly as locked

.venv/.current: requirements-dev.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --no-python-downloads --python 3.11 .venv
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.lock
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	touch $@

# A Debian without python3-venv cannot make environments; that package is then installed.
$(UV):
	python3 -m venv $(CACHE)/uv-$(UV_VERSION) 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv && python3 -m venv --clear $(CACHE)/uv-$(UV_VERSION); }
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: ui
ui: $(BUNDLE) ## The web UI's static files

$(BUNDLE): $(UI_SOURCES)
	cd ui && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build
	rm -rf src/odigos_cp/web/static && cp -r ui/out src/odigos_cp/web/static

.PHONY: chromium
chromium: ## Debian's Chromium, for the browser tests
	command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }

.PHONY: images
images: venv ui ## Build the container images into the cache
	$(BIN)/python -m cluster.walk --images-only

.PHONY: help
help: ## This text
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z_-]+:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
