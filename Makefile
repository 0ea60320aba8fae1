# `make demo` and `make test` are all that a fresh machine needs: Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN := $(VENV)/bin
# One numeric thread a process: two BLAS threads on shared cores cost more than they give.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test lint format exam bench sameness passes size wheel docs clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "segmint needs Python 3.11 or newer; pass PYTHON=/path/to/python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## install segmint into .venv
install-dev: $(VENV)/.installed-dev  ## install segmint with every extra and the development tools

demo: install  ## mint a small dataset with the shipped model on the CPU and show its contact sheet
	$(BIN)/segmint generate --model toybox --classes toybox --count 16 --keep-features --out $(DEMO)
	@echo "Look at $(DEMO)/contact-sheet.png; the dataset is the folder $(DEMO)/."

test: lint  ## everything that must hold: format, lint, types, import contract, tests
	$(PYTEST) -n 2 -m "not slow and not gpu and not weights"

lint: install-dev  ## format check, lint, types, import contract
	$(BIN)/ruff format --check --quiet src lab tests docs
	$(BIN)/ruff check --quiet src lab tests docs
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: install-dev  ## rewrite the files in the house's format
	$(BIN)/ruff format src lab tests docs
	$(BIN)/ruff check --fix src lab tests docs

exam: install-dev  ## the slow exams (an hour or more): toybox gate, kill exams, full-size models, benches
	$(ONE_THREAD) $(BIN)/segmint toybox evaluate
	$(MAKE) bench
	$(PYTEST) -m "slow and not gpu and not weights" --durations=20

bench: install-dev  ## print the figures of docs/benchmarks.md for this machine
	$(ONE_THREAD) $(BIN)/python -m lab.bench masks
	$(ONE_THREAD) $(BIN)/python -m lab.bench methods
	$(ONE_THREAD) $(BIN)/python -m lab.bench overhead
	$(ONE_THREAD) $(BIN)/python -m lab.bench memory
	$(ONE_THREAD) $(BIN)/python -m lab.bench store
	$(ONE_THREAD) $(BIN)/python -m lab.bench training
	$(ONE_THREAD) $(BIN)/python -m lab.throughput --simulate

sameness: install-dev  ## show that this tree makes what commit BASE made, byte for byte
	$(BIN)/python -m lab.sameness $(if $(BASE),--base $(BASE))

passes: install-dev  ## count the functions, files and rooms that one prompt passes
	$(ONE_THREAD) $(BIN)/python -m lab.passes

size: install-dev  ## count lines and files of the package, by the issue that brought them
	$(BIN)/python -m lab.size

PYTHONS ?=
wheel: install-dev  ## install the built wheel in a clean environment of every Python that it names, and work with it
	$(BIN)/python -m lab.wheel $(PYTHONS)

docs: install-dev  ## write the generated pages of docs/
	$(BIN)/python docs/generate.py

clean:  ## remove the virtual environment and the demo run
	rm -rf $(VENV) $(DEMO)
