# SPDX-License-Identifier: MIT
# Every target sets itself up: git, make and Python 3.11 (with venv and pip) are all it needs.
# The set-up is redone when pyproject.toml changes, and only then.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CODE   := $(wildcard src tests examples bench docs)

# These must be covered to the last line and branch.
COVERED := timeouts kernel server state_machine registry supervisor monitors application storage breakers \
  dead_letters outbox delivery router scheduler testing
comma   := ,
space   := $(subst ,, )

DEV  := $(VENV)/.stamp-dev
DOCS := $(VENV)/.stamp-docs

.DEFAULT_GOAL := help
.PHONY: help all demo test test-uvloop coverage stress crash lint format types bench bench-peers bench-profile docs build clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: PYTHON=python3.12 (set-up), EVENTS=FILE (demo), ARGS="..." (test, stress, crash, bench)'

all: lint types test docs ## Everything that must be green

demo: $(DEV) ## Run the webhook relay; EVENTS=FILE feeds it your own events
	@$(BIN)/python -m examples.relay.demo $(if $(EVENTS),--events '$(EVENTS)')

test: $(DEV) ## Run the tests in parallel, then check the coverage of the core
	@$(BIN)/pytest -n auto -rs --cov --cov-report= $(ARGS)
	@$(MAKE) --no-print-directory coverage

coverage: $(DEV) ## Check the coverage that `make test` recorded: 100 % of the core's lines and branches
	@$(BIN)/coverage report --skip-covered --show-missing --fail-under=100 \
	  --include='$(subst $(space),$(comma),$(COVERED:%=src/stanchion/%/*))'

test-uvloop: $(DEV) ## Run the tests on uvloop
	@$(BIN)/pytest -n auto -rs --loop uvloop $(ARGS)

stress: $(DEV) ## Run the long tests: many rounds in random order
	@$(BIN)/pytest -n auto -rs -m stress --timeout 600 $(ARGS)

crash: $(DEV) ## Kill processes by hundreds, and look for what they lost
	@$(BIN)/python -m tests.crash $(ARGS)

lint: $(DEV) ## Check style and spelling
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/codespell

format: $(DEV) ## Put the code into the house format
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

types: $(DEV) ## Check types with mypy and pyright, both strict
	@$(BIN)/mypy $(wildcard src examples tests/typing)
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

bench: $(DEV) ## Run the benchmarks
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(DEV) ## Run the same four jobs on other actor libraries, each installed into a venv of its own
	@$(BIN)/python -m bench.peers $(ARGS)

bench-profile: $(DEV) ## Show where the time of a call goes
	@$(BIN)/python -m bench.profile $(ARGS)

docs: $(DEV) $(DOCS) ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'docs: site/index.html'

build: $(DEV) ## Build the wheel and the sdist into dist/
	@$(BIN)/uv build --quiet

clean: ## Remove what the other targets made
	rm -rf $(VENV) site dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# --- set-up ----------------------------------------------------------------------------------------

UV := $(BIN)/uv --quiet pip install --python $(BIN)/python

$(BIN)/uv:
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'make: expected Python 3.11 or newer, got "$(PYTHON)": '"$$($(or $(PYTHON),python3) --version 2>&1)"; \
	  echo 'Fix: make PYTHON=/path/to/python3.11 ...'; exit 1; } >&2
	@echo 'Setting up $(VENV) ...'
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo 'Fix: this Python has no venv; on Debian: apt-get install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

$(DEV): pyproject.toml | $(BIN)/uv
	@$(UV) --editable '.[all]' --group dev
	@touch $@

$(DOCS): pyproject.toml | $(BIN)/uv
	@$(UV) --group docs
	@touch $@
