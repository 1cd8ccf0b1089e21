# `make` alone lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
# On a machine without a GPU, PyTorch's CPU build saves gigabytes:
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_FLAGS ?=
BIN := .venv/bin

.PHONY: help demo test test-faults lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BIN)/installed ## train, score and use one decoder per task on the embedded samples (5 to 8 minutes on 2 cores, installation included)
	@$(BIN)/python recipes/demo.py

test: $(BIN)/installed ## run all tests
	$(BIN)/pytest

test-faults: $(BIN)/installed ## kill, fill and break what a run can meet, hundreds of times
	FAULTS=full $(BIN)/pytest tests/faults

lint: $(BIN)/installed ## check style with ruff and types with mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(BIN)/installed ## mend style with ruff
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the environment and caches, not the outputs
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

$(BIN)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[music21,explore,dev]'
	@touch $@
