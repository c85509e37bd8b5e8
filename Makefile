# Everything runs in a project-local environment, .venv, made from requirements.lock on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DURATION ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo setup tools test test-fast drills bench check format generate lock clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Setting up $(VENV) (once; a minute or so) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

setup: $(READY) ## make the project-local environment

demo: $(READY) ## watch games being observed: make demo DURATION=60
	@$(BIN)/python -m otel_setup demo --duration $(DURATION) $(ARGS)

tools: $(READY) ## build or fetch the real programs into a per-user cache (once; a quarter of an hour)
	@$(BIN)/python -m deploy tools

# Several processes, each with whole files, so that a broker that many tests share is started once. In the order of the
# folders: the short files come last, and the processes end together. ARGS="-n 0" is one process.
PROCESSES := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(READY) ## all tests, some at a time; builds the real peers first
	@$(BIN)/python -m deploy tools || echo "Going on without what could not be built; its tests are skipped by name."
	$(BIN)/python -m pytest -m "not drill" $(PROCESSES) $(ARGS)

# What plays whole games, forks, waits for exports or talks to servers is left to "make test".
FAST := $(foreach name,asgi testing hub cli test_control_streams.py clients/test_hub.py events/test_stream_properties.py test_signals.py test_exits.py test_lifespan.py test_adopt.py \
	privacy prometheus sdk test_telemetry.py test_fork.py test_core.py test_spans.py \
	test_tracing.py test_trace_context.py test_correlation.py runtime test_scale_small.py \
	ledger/test_bounds.py ledger/test_any_event.py ledger/test_random_play.py,--ignore=tests/otel_setup/$(name))

test-fast: $(READY) ## the tests that need no real peer and no waiting, in under a minute
	$(BIN)/python -m pytest -q -m "not drill and not slow" tests/otel_setup $(FAST) $(ARGS)

drills: $(READY) ## the long proofs; their results are written to docs/proof/
	@$(BIN)/python -m deploy tools
	$(BIN)/python -m pytest -m drill --proof $(ARGS)

bench: $(READY) ## measure what monitoring costs, beside OpenTelemetry's SDK used by hand: make bench ARGS=--quick
	$(BIN)/python -m benchmarks $(ARGS)

check: $(READY) ## lint, types, and that generated files are as generated
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m otel_setup catalogue --format markdown --out docs/reference --check
	$(BIN)/python -m deploy build --check
	$(BIN)/python -m alerts build --check

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(READY) ## write the generated files again
	$(BIN)/python -m otel_setup catalogue --format markdown --out docs/reference
	$(BIN)/python -m deploy build
	$(BIN)/python -m alerts build
	$(BIN)/python -m tests.docs.file_tables

lock: $(READY) ## resolve requirements.lock anew
	@$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock

clean: ## remove the environment and caches of this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build dist
