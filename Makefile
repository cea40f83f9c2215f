# Towpath: what a newcomer and a developer type. `make help` lists it.
# Every target sets up what it needs first; a second run finds that done.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# A shell that forbids bytecode would make every job compile its imports again.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

BIN := .venv/bin
BASE := .venv/.towpath-base
TEXT := .venv/.towpath-text
SOURCES := src tests examples scripts conftest.py
QUICK ?=
# QUICK=0, QUICK=no and QUICK=false say no.
IS_QUICK := $(filter-out 0 no false,$(QUICK))
ARGS ?=

.PHONY: help api demo test test-faults soak fuzz test-clients test-text lint format check bench bench-peers bench-models lock clean

help: ## list the targets
	@printf 'Towpath\n\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
		| while IFS=$$'\t' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done
	@printf '\n  make demo QUICK=1   the same pipeline with a classic model: under a minute, without torch\n'
	@printf '  make test ARGS=...  further arguments for pytest, for example ARGS="-k lineage"\n'

$(BASE): pyproject.toml constraints/base.txt constraints/build.txt scripts/setup
	@scripts/setup base
	@touch $@

$(TEXT): $(BASE) constraints/text.txt constraints/torch.txt
	@scripts/setup text
	@touch $@

demo: $(if $(IS_QUICK),$(BASE),$(TEXT)) ## raw reviews become a model that answers over HTTP (about five minutes; QUICK=1: one)
	@$(BIN)/towpath demo examples/reviews $(if $(IS_QUICK),--quick)

test: $(BASE) ## all tests that need no torch (a quarter of an hour on two cores)
	@$(BIN)/pytest -n auto --dist loadfile -m 'not text and not clients and not faults' $(ARGS)

test-faults: $(BASE) ## kill, stop, starve and mislead each part of the platform (about ten minutes)
	@$(BIN)/pytest -m faults $(ARGS)

soak: $(BASE) ## kill the server, runners and jobs at random moments (ROUNDS=500, SEED=...); Ctrl-C sums up, and the next run goes on from there
	@TOWPATH_TEST_ROUNDS=$${ROUNDS:-500} TOWPATH_SOAK_FILE=.bench/soak.json $${SEED:+env TOWPATH_TEST_SEED=$$SEED} \
		$(BIN)/pytest -m faults tests/acceptance/test_crashes.py tests/acceptance/test_crash_shapes.py $(ARGS)

fuzz: $(BASE) ## throw requests at every operation for hours (TOWPATH_FUZZ_EXAMPLES=1000 each, TOWPATH_TEST_SEED=..., TOWPATH_FUZZ_PASSED=FILE to go on later, ARGS="-n 2")
	@TOWPATH_FUZZ_EXAMPLES=$${TOWPATH_FUZZ_EXAMPLES:-1000} $(BIN)/pytest -m faults tests/fuzz $(ARGS)

test-clients: $(BASE) ## real AWS clients, each in an environment of its own: boto3, both SageMaker SDKs, the AWS CLI; another S3 server (1.5 GB)
	@scripts/environments lanes
	@$(BIN)/pytest -n 2 --dist loadfile -m clients $(ARGS)

test-text: $(TEXT) ## the tests with torch and transformers, the full demo among them
	@$(BIN)/pytest -m text $(ARGS)

lint: $(BASE) ## format, lint, strict types, import contracts
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(BASE) ## rewrite the sources in the project's format
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

check: lint ## lint and the fast tests: what to run before a commit
	@$(BIN)/pytest -n auto --dist loadfile $(ARGS)

api: $(BASE) ## write docs/api.md anew: the operations, and the tests that show them
	@$(BIN)/python -m tests.api_table

bench: $(BASE) ## measure the platform against its floors
	@$(BIN)/python scripts/bench $(ARGS)

bench-peers: $(BASE) ## the same steps by Dagster, KFP local, Metaflow and Prefect, each in an environment of its own (500 MB, ten minutes)
	@scripts/environments peers
	@$(BIN)/python scripts/bench --only peers $(ARGS)

bench-models: $(TEXT) ## accuracy of both demo models over three seeds (about ten minutes)
	@$(BIN)/python examples/reviews/compare.py --seeds 1 2 3 $(ARGS)

lock: $(BASE) ## write constraints/ anew (ARGS=--upgrade for the newest versions)
	@scripts/lock $(ARGS)

clean: ## remove .venv, caches, figures and downloaded data; your platform's home stays
	@rm -rf .venv .venv-lanes .venv-peers .data examples/reviews/.data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .bench dist
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
