# Everything a developer or CI does has a name here; `make help` lists the names.
# Each target sets up what it needs first, so all of them work in a fresh clone.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What the install compiles.
COMPILED := $(addprefix services/tandem/,classifier/features/reading.pyx classifier/heads.pyx classifier/summing.pyx \
	telemetry/wire.pyx)
# The first of these that runs; set it to choose another: make install PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$p" && break; done)
# Options for `make lock`, for instance LOCK_OPTIONS=--upgrade, or LOCK_OPTIONS='--upgrade-package grpcio'.
LOCK_OPTIONS ?=
# How many fast tests run at a time: one more than there are cores, since some wait.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
# What `make bench-routing-gate` compares with.
ROUTING_BASELINE ?= tools/bench/routing_bench/baseline.json
# What `make protos-breaking` compares with.
AGAINST ?= .git\#ref=HEAD
UV_COMPILE := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links $(LOCK_OPTIONS)

.PHONY: help
help: ## Say what each target does.
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z0-9-]*:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run it

.PHONY: install
install: $(INSTALLED) ## Create .venv with the locked versions of everything, and tandem itself.

.PHONY: triton-env
triton-env: $(INSTALLED) ## Fetch Triton and the weights into the cache folder; all that needs them does so by itself.
	$(BIN)/tandem fetch

.PHONY: observability-env
observability-env: $(INSTALLED) ## Fetch Prometheus and promtool into the cache folder; tests that need them are skipped without.
	$(BIN)/python tools/fetch_prometheus.py

.PHONY: trace-ui
trace-ui: triton-env ## Show the traces of a demo load in a real trace UI until Ctrl-C (fetches the UI first, 850 MB).
	$(BIN)/python tools/trace_ui.py

.PHONY: demo
demo: $(INSTALLED) ## Start the whole system, ask it three questions, stop it.
	$(BIN)/tandem demo

.PHONY: up
up: $(INSTALLED) ## Start the whole system and leave it running until Ctrl-C.
	$(BIN)/tandem up

##@ Test it

# Two at a time, since nearly all of them wait for a while; tests of one running system stay together (tests/conftest.py).
.PHONY: test
test: check triton-env ## Run every check and every test: what CI runs.
	-$(BIN)/python tools/fetch_prometheus.py
	$(BIN)/pytest -n $(WORKERS) tests/unit tests/contract
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder --ignore=tests/unit --ignore=tests/contract

.PHONY: test-fast
test-fast: $(INSTALLED) ## Run the tests that need no Triton: unit and contract, in less than a minute.
	$(BIN)/pytest -n $(WORKERS) tests/unit tests/contract

.PHONY: test-unit
test-unit: $(INSTALLED) ## Run the tests of single modules.
	$(BIN)/pytest tests/unit

.PHONY: test-contract
test-contract: $(INSTALLED) ## Run the tests of the protobuf contract and of its generated code.
	$(BIN)/pytest tests/contract

.PHONY: test-integration
test-integration: triton-env ## Run the services together, against the simulator on a real Triton.
	$(BIN)/pytest tests/integration

.PHONY: test-telemetry
test-telemetry: triton-env ## Run the tests of traces, against the simulator on a real Triton and a real OTLP receiver.
	$(BIN)/pytest tests/telemetry

# Needs Chromium and its driver (Debian: apt-get install chromium chromium-driver), and says so without.
.PHONY: test-trace-ui
test-trace-ui: triton-env ## Look at trace UI and dashboards with a real browser (fetches the UI first, 850 MB).
	$(BIN)/python tools/trace_ui.py --fetch
	-$(BIN)/python tools/fetch_prometheus.py
	$(BIN)/pytest tests/browser

.PHONY: test-e2e
test-e2e: triton-env ## Run the whole system with the real model on a real Triton.
	$(BIN)/pytest tests/e2e

.PHONY: chart
chart: $(INSTALLED) ## Check the Helm chart and the Dockerfile: render every profile and switch, and test what comes out.
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/helm lint --strict helm/tandem
	$(BIN)/python tools/chart_files.py --check
	$(BIN)/pytest tests/chart

.PHONY: test-gpu
test-gpu: $(INSTALLED) ## Run a real GPU out of memory (docs/gpu_out_of_memory.md); skipped without one.
	$(BIN)/pytest tests/gpu -s

.PHONY: bench-routing
bench-routing: $(INSTALLED) ## Measure how well Tandem routes, on recorded answers (TANDEM_DATA=FOLDER).
	$(BIN)/python tools/bench/routing.py

.PHONY: bench-fusion
bench-fusion: $(INSTALLED) ## Measure how much better several answers are than one, on recorded answers (TANDEM_DATA=FOLDER).
	$(BIN)/python tools/bench/fusion.py

.PHONY: bench-routing-gate
bench-routing-gate: $(INSTALLED) ## The same, and fail when a figure got worse than chance explains.
	$(BIN)/python tools/bench/routing.py --gate $(ROUTING_BASELINE)

##@ Check it

.PHONY: check
check: lint types imports protos-lint protos-check ## Run every check that is not a test.

.PHONY: lint
lint: $(INSTALLED) ## Check style and form with ruff.
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: format
format: $(INSTALLED) ## Rewrite the code in the agreed form, and repair what ruff can repair.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	cd protos && ../$(BIN)/buf format --write --path tandem

.PHONY: types
types: $(INSTALLED) ## Check types with mypy --strict.
	$(BIN)/mypy

.PHONY: imports
imports: $(INSTALLED) ## Check who may import whom, with import-linter.
	$(BIN)/lint-imports

##@ Generated files

.PHONY: protos
protos: $(INSTALLED) ## Generate the Python code of protos/.
	$(BIN)/python tools/generate_protos.py

.PHONY: protos-check
protos-check: $(INSTALLED) ## Fail when the committed generated code is not what protos/ gives.
	$(BIN)/python tools/generate_protos.py --check

.PHONY: protos-lint
protos-lint: $(INSTALLED) ## Check the form of the contract, and that everything in it has a comment.
	cd protos && ../$(BIN)/buf lint
	cd protos && ../$(BIN)/buf format --diff --exit-code --path tandem

.PHONY: protos-breaking
protos-breaking: $(INSTALLED) ## Fail when a client of the committed contract would break (AGAINST=.git#ref=…).
	$(BIN)/buf breaking protos --against '$(AGAINST),subdir=protos'

.PHONY: chart-files
chart-files: $(INSTALLED) ## Write the chart's README and the objects of deploy/kustomize anew.
	$(BIN)/python tools/chart_files.py

.PHONY: dashboards
dashboards: $(INSTALLED) ## Write the dashboards of deploy/observability anew from tools/grafana, and the chart's copies.
	$(BIN)/python tools/dashboards.py
	$(BIN)/python tools/chart_files.py

.PHONY: screenshots
screenshots: triton-env observability-env ## Take the screenshots of the docs anew: what test-trace-ui sees goes to docs/images.
	$(BIN)/python tools/trace_ui.py --fetch
	TANDEM_SCREENSHOTS=docs/images $(BIN)/pytest tests/browser

.PHONY: lock
lock: $(INSTALLED) ## Resolve both lock files anew, keeping versions where they still fit (LOCK_OPTIONS=--upgrade).
	$(UV_COMPILE) --extra embedded --extra encoder --extra plots --extra postgresql --extra training --group dev \
		--output-file requirements.lock pyproject.toml
	$(UV_COMPILE) --extra postgresql --constraint requirements.lock --output-file deploy/image/requirements.lock pyproject.toml
	$(UV_COMPILE) --constraint requirements.lock --output-file deploy/image/build.lock deploy/image/build.in
	$(UV_COMPILE) --no-deps --output-file deploy/triton/requirements.lock deploy/triton/requirements.in
	$(UV_COMPILE) --output-file deploy/trace_ui/requirements.lock deploy/trace_ui/requirements.in

.PHONY: clean
clean: ## Remove .venv and every tool's cache in this checkout; the cache folder with the weights stays.
	rm -rf $(VENV) $(COMPILED:.pyx=.*.so) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find services tests tools deploy -name __pycache__ -type d -prune -exec rm -rf {} +

# --no-deps: the lock is complete. --no-build-isolation: what builds the editable install is in the lock too.
$(INSTALLED): requirements.lock pyproject.toml hatch_build.py $(COMPILED) | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/pyvenv.cfg:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11, 3.12 or 3.13 was found on PATH, and Tandem needs one of them." >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	@if ! "$(PYTHON)" -c 'import ensurepip, venv'; then \
		version=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$(PYTHON) cannot create virtual environments: its modules venv and ensurepip are not installed." >&2; \
		echo "Install them (Debian, Ubuntu: apt-get install python$$version-venv) and run make again." >&2; \
		exit 1; \
	fi
	"$(PYTHON)" -m venv $(VENV)
