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
UI_SOURCES := $(shell find ui/src 2>/dev/null) $(filter-out ui/next-env.d.ts,$(wildcard ui/*.json ui/*.ts ui/*.mjs))
UI_PACKAGES := ui/node_modules/.package-lock.json
BUNDLE := src/odigos_cp/web/static/index.html
BENCH_PODS := 1000,10000,20000
FAULTS_OF_THE_PROCESS := $(patsubst %,test_%.py,blocked clock half_dead leader lease stop versions)
FAST_TESTS := tests $(addprefix --ignore=tests/,e2e browser cluster faults bench local/test_whole_cluster.py)

export ODIGOS_CP_CACHE := $(CACHE)

##@ Run it

.PHONY: run
run: venv ## Build everything, start a real cluster, install odigos-cp, instrument the demo shop, show a trace, hold the UI open
	@$(BIN)/python -m cluster.walk --announce
	@$(MAKE) --no-print-directory built
	@$(BIN)/python -m cluster.walk

.PHONY: down
down: venv ## Remove everything `make run` made: its cluster, or, with KUBECONFIG set, what it made on that one (the build cache stays: `make clean`)
	@$(BIN)/python -m cluster.walk --down

.PHONY: clean
clean: ## Remove the build cache, the virtual environment and built files (run `make down` first)
	rm -rf $(CACHE) .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache ui/node_modules ui/.next ui/out ui/tsconfig.tsbuildinfo ui/next-env.d.ts src/odigos_cp/web/static tests/browser/pictures

##@ Test it

.PHONY: test
test: check built jdk chromium faketime ## Every test: checks, then two at a time what needs this machine, a two-node cluster, and a control plane to be treated badly
	@$(MAKE) --no-print-directory -j2 --output-sync=line test-here test-cluster
	@$(MAKE) --no-print-directory test-faults

.PHONY: test-here
test-here: ## What needs nothing but this machine: the fast tests, the browser's, and those that treat a cluster badly
	$(BIN)/pytest $(FAST_TESTS) -q
	$(BIN)/pytest tests/browser -q
	$(BIN)/pytest tests/local/test_whole_cluster.py -q

.PHONY: test-fast
test-fast: venv jdk ## The tests that need no cluster and no browser
	$(BIN)/pytest $(FAST_TESTS) -q

.PHONY: test-browser
test-browser: venv ui chromium ## The UI in a real headless Chromium
	$(BIN)/pytest tests/browser -q

.PHONY: test-faults
test-faults: venv faketime ## A real API server and etcd that are killed, cut off and lied about, and the control plane that must not mind
	@$(MAKE) --no-print-directory -j2 --output-sync=line test-faults-of-the-way test-faults-of-the-process

.PHONY: test-faults-of-the-way
test-faults-of-the-way: venv
	$(BIN)/pytest tests/faults tests/bench $(addprefix --ignore=tests/faults/,$(FAULTS_OF_THE_PROCESS)) -q

.PHONY: test-faults-of-the-process
test-faults-of-the-process: venv faketime
	$(BIN)/pytest $(addprefix tests/faults/,$(FAULTS_OF_THE_PROCESS)) -q

.PHONY: test-cluster
test-cluster: venv ui chromium ## The tests on a real cluster; KEEP=1 leaves it running for the next time
	$(BIN)/pytest tests/cluster tests/e2e -q $(if $(KEEP),--keep-cluster)

##@ Measure it

.PHONY: bench-kube
bench-kube: venv ## The Kubernetes runtime against client-go and controller-runtime: N=1000,10000,20000 REPETITIONS=3 JSON=FILE
	@$(BIN)/python -m tests.bench --pods $(or $(N),$(BENCH_PODS)) --repetitions $(or $(REPETITIONS),3) $(if $(JSON),--json $(JSON))

.PHONY: fuzz
fuzz: venv ## A fuzzer on every parser of the detector that strangers' bytes reach, for SECONDS (120) in all
	@$(UV) run --quiet --no-project --python $(BIN)/python --with 'atheris==3.0.0' env PYTHONPATH=$(CURDIR)/src:$(CURDIR):$$(echo $(CURDIR)/.venv/lib/python3*/site-packages) python -m tests.detector.fuzz $(or $(SECONDS),120)

.PHONY: bench-detect
bench-detect: venv ## How right, how fast and how large the detector is, as a table
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m tests.detector.bench

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
	@echo '  … the Python environment'
	@$(UV) venv --quiet --allow-existing --no-python-downloads --python 3.11 .venv
	@$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.lock
	@$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

# A Debian without python3-venv cannot make environments; that package is then installed.
$(UV):
	python3 -m venv $(CACHE)/uv-$(UV_VERSION) 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv && python3 -m venv --clear $(CACHE)/uv-$(UV_VERSION); }
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: ui
ui: venv $(BUNDLE) ## The web UI's static files

# Folders are sources too, so that a file that is gone is noticed.
$(BUNDLE): $(UI_SOURCES) $(UI_PACKAGES)
	@$(BIN)/python -m cluster.steps "the web UI" sh -euc 'cd ui; npm run --silent build'
	@rm -rf src/odigos_cp/web/static && cp -r ui/out src/odigos_cp/web/static

$(UI_PACKAGES): ui/package.json ui/package-lock.json ui/.npmrc
	@$(BIN)/python -m cluster.steps "the web UI's packages" sh -euc 'cd ui; npm ci --loglevel=error'

.PHONY: jdk
jdk: ## A JDK and Maven, for the tests of the Java agent
	command -v javac >/dev/null && command -v mvn >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless maven; }

.PHONY: chromium
chromium: ## Debian's Chromium, for the browser tests
	command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }

.PHONY: faketime
faketime: ## Debian's libfaketime, for tests in which one process has a wrong clock
	command -v faketime >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime; }

.PHONY: built
built: venv ## Everything that is built before anything runs; the Go programs and the images at the same time
	@$(MAKE) --no-print-directory -j2 programs images

.PHONY: programs
programs: venv ## Build the Go programs into the cache: Kubernetes, CoreDNS, the collector (only that, with KUBECONFIG set)
	@$(BIN)/python -m cluster.builds $(if $(KUBECONFIG),collector)

.PHONY: images
images: venv ui ## Build the container images into the cache
	@$(BIN)/python -m cluster.images

.PHONY: help
help: ## This text
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z_-]+:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
