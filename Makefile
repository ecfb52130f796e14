PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check acceptance guarantees bench fuzz lock clean

# The demonstration: a seized stick made by code, scanned, counted and reported. Ends by itself.
demo: $(VENV)/run.done
	$(BIN)/mantlet demo demo

test: $(VENV)/test.done
	$(BIN)/python -m pytest

check: $(VENV)/test.done
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# What is too long for the tests; prints a line for each figure.
acceptance: $(VENV)/test.done
	$(BIN)/python -m tests.acceptance

# The tables and plots of docs/guarantees.md, anew: under ten minutes on two cores; half an hour with CASES=20000.
CASES ?= 5000
guarantees: $(VENV)/test.done
	$(BIN)/python -m tests.acceptance.guarantees --cases $(CASES)

# Damaged images and archives without end, until Ctrl-C; what a scan did not withstand is kept in fuzz-findings/.
fuzz: $(VENV)/test.done
	$(BIN)/python -m tests.acceptance.fuzz

# Against peers, as ratios in one run; writes benchmarks/results/latest.json.
bench: $(VENV)/bench.done
	$(BIN)/python -m benchmarks.run

# Locks every dependency for every platform and Python, with hashes. Needs uv.
lock:
	cd requirements && for extra in test bench; do \
	  uv pip compile -q --universal --generate-hashes --no-header --no-annotate \
	    --extra build --extra $$extra -o $$extra.txt ../pyproject.toml; done
	cd requirements && uv pip compile -q --universal --generate-hashes --no-header --no-annotate \
	  --extra build -o run.txt ../pyproject.toml

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.done: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) demo
