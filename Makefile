# One .venv for every target. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-system test-all lint format bench docs clean
help:            ## what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "this Python has no venv module (on Debian: apt install python3-venv)" >&2; exit 1; }
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)   ## the flights star, loaded into the embedded PostgreSQL of this folder
	$(RUN)/python demo/flights.py

test: $(READY) lint ## everything that gates a change
	$(RUN)/python -m pytest -n 2 -m 'not system and not slow'

test-system: $(READY) ## tests that need programs of the system
	$(RUN)/python -m pytest -m system

test-all: $(READY) lint ## everything, the long sweeps too
	PENSTOCK_HYPOTHESIS=sweep $(RUN)/python -m pytest -n 2

lint: $(READY)   ## style, types, layers
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy src tests
	$(RUN)/lint-imports

format: $(READY) ## write the house style
	$(RUN)/ruff check --fix -q . ; $(RUN)/ruff format .

bench: $(READY)  ## compare with psql, pandas and dlt; writes bench/results.md
	$(RUN)/python bench/run.py

docs: $(READY)   ## the documentation as pages, in site/
	$(RUN)/mkdocs build --strict

clean:           ## remove what was made here, the embedded server included
	-test -x $(RUN)/penstock && $(RUN)/penstock pg stop
	rm -rf $(VENV) site .penstock .mypy_cache .ruff_cache .pytest_cache
