# Each target makes the environment that it needs on first use. PYTHON chooses the interpreter, WORKERS the test processes.
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

BIN := .venv/bin
INSTALL := $(PYTHON) -m pip --disable-pip-version-check --quiet --python
# With the bare requirements of the package, at their lower bounds.
CORE_TESTS := tests/runtime tests/problems tests/networks tests/linalg tests/mirror tests/recovery tests/limit \
  tests/cli/test_solve.py tests/cli/test_limit.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv reproduce test test-full test-min lint format wheel dist clean race site

help:
	@echo 'make reproduce    compute, store and draw all figures;      ARGS="--profile paper" passes options on'
	@echo 'make test         lint, type check, tests, documented examples, wheel: what CI runs'
	@echo 'make test-full    the same with the long versions of the tests, tutorials and the site'
	@echo 'make test-min     tests of the core with the oldest versions that it supports'
	@echo 'make wheel        build the wheel, install it into an empty environment and use it; ARGS=--full adds JAX'
	@echo 'make dist         wheel and source distribution, in dist/'
	@echo 'make site         the documentation, in site/: open site/index.html'
	@echo 'make race         basis pursuit against its peers, in an environment of its own; ARGS="--sizes 500x5000"'
	@echo 'make lint         ruff, codespell, English, mypy and the import contracts only'
	@echo 'make format       rewrite the sources in the agreed format'
	@echo 'make clean        remove environments and caches; results stay'

# The system's pip installs into environments from outside, so that ensurepip is not needed.
define check_python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'polarbias needs Python 3.11 or newer, and "$(PYTHON)" is not: try make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m pip --python "$$(command -v $(PYTHON))" --version >/dev/null 2>&1 || \
	  { echo '"$(PYTHON)" has no pip, or one before 22.3: install it first (Debian: apt install python3-pip)' >&2; exit 1; }
endef

$(BIN)/python:
	$(check_python)
	$(PYTHON) -m venv --clear --without-pip .venv
	$(INSTALL) $(BIN)/python install pip

venv: $(BIN)/python

.venv/installed: pyproject.toml | $(BIN)/python
	@echo 'installing polarbias[paper] into .venv (a few hundred MB on first use)'
	$(INSTALL) $(BIN)/python install --editable '.[paper]'
	@touch $@

.venv/installed-test: pyproject.toml | $(BIN)/python
	@echo 'installing polarbias and its test tools into .venv (a few hundred MB on first use)'
	$(INSTALL) $(BIN)/python install --editable '.[test]'
	@touch .venv/installed $@

.venv/installed-docs: pyproject.toml | $(BIN)/python
	@echo 'installing polarbias and the tools of its site into .venv'
	$(INSTALL) $(BIN)/python install --editable '.[docs]'
	@touch .venv/installed $@

reproduce: .venv/installed
	$(BIN)/polarbias reproduce $(ARGS)
	@echo 'next: $(BIN)/polarbias --help; after ". $(BIN)/activate" the command is polarbias'

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/python tests/test_english.py
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)
	$(BIN)/python tests/check_wheel.py

test-full: lint .venv/installed-docs
	$(BIN)/python -m pytest -n $(WORKERS) -m 'full or not full' --hypothesis-profile=full tests src docs/checks $(ARGS)
	$(BIN)/python tests/check_wheel.py --full

.venv-min/installed: pyproject.toml tests/lower_bounds.py
	$(check_python)
	$(PYTHON) -m venv --clear --without-pip .venv-min
	$(PYTHON) tests/lower_bounds.py >.venv-min/constraints.txt
	$(INSTALL) .venv-min/bin/python install --constraint .venv-min/constraints.txt --editable . hypothesis mpmath pytest
	@touch $@

test-min: .venv-min/installed
	.venv-min/bin/python -m pytest $(CORE_TESTS) $(ARGS)

wheel: .venv/installed-test
	$(BIN)/python tests/check_wheel.py $(ARGS)

dist: $(BIN)/python
	$(INSTALL) $(BIN)/python install build
	rm -rf dist
	$(BIN)/python -m build

site: .venv/installed-docs
	$(BIN)/mkdocs build --strict

# Peers hold back versions of NumPy at times, so they are kept away from .venv.
.race/installed: benchmarks/basis_pursuit/requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear --without-pip .race
	$(INSTALL) .race/bin/python install --requirement benchmarks/basis_pursuit/requirements.txt --editable .
	@touch $@

race: .race/installed
	.race/bin/python benchmarks/basis_pursuit/race.py $(ARGS)

format: .venv/installed-test
	$(BIN)/ruff check --fix-only --exit-zero
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-min .race site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
