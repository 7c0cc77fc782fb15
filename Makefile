# Everything a checkout can do. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench docs lock up clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

install: $(VENV)/.runtime ## make .venv with the lakehouse command in it
	@echo "installed: $(BIN)/lakehouse"

demo: $(VENV)/.runtime ## show the product at work on real demands (data in ./lake-demo)
	@$(BIN)/lakehouse demo

up: $(VENV)/.runtime ## serve everything on http://127.0.0.1:3110 until Ctrl-C
	@$(BIN)/lakehouse up

test: $(VENV)/.dev ## run the tests (TESTS=tests/serve narrows them)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(TESTS)

check: $(VENV)/.dev ## lock file, format, lint, types, import layers, unused dependencies
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

bench: $(VENV)/.dev demo ## run every benchmark and print its figures
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

docs: $(VENV)/.dev ## write docs/reference.md from the code
	@$(BIN)/python scripts/docs

lock: $(VENV)/.dev ## resolve the requirements again (needs a package index)
	@$(BIN)/python scripts/lock

clean: ## remove .venv and every cache; data in ./lake stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lakehouse needs Python 3.11 or newer; name one with make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)

# The lock is complete, so dependencies are never resolved here; see scripts/lock.
$(VENV)/.runtime: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing the locked requirements into $(VENV) ..."
	@$(PIP) install --require-hashes --no-deps -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "installing the locked development requirements into $(VENV) ..."
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.txt
	@touch $@
