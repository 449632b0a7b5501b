# Everything but the race runs in .venv, which is made on first use. PYTHON chooses the interpreter, WORKERS the test processes.
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

BIN := .venv/bin
PIP := $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install --quiet

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv reproduce test test-full lint format clean race site

help:
	@echo 'make reproduce    compute, store and draw all figures;      ARGS="--profile paper" passes options on'
	@echo 'make test         lint, type check, tests, documented examples, wheel: what CI runs'
	@echo 'make test-full    the same with the long versions of the tests, tutorials and the site'
	@echo 'make site         the documentation, in site/: open site/index.html'
	@echo 'make race         basis pursuit against its peers, in an environment of its own; ARGS="--sizes 500x5000"'
	@echo 'make lint         ruff, codespell, mypy and the import contracts only'
	@echo 'make format       rewrite the sources in the agreed format'
	@echo 'make clean        remove .venv and caches; results stay'

# The system's pip installs into .venv from outside, so neither ensurepip nor an activated environment is needed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'polarbias needs Python 3.11 or newer, and "$(PYTHON)" is not: try make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m pip --python "$$(command -v $(PYTHON))" --version >/dev/null 2>&1 || \
	  { echo '"$(PYTHON)" has no pip, or one before 22.3: install it first (Debian: apt install python3-pip)' >&2; exit 1; }
	$(PYTHON) -m venv --clear --without-pip .venv

venv: $(BIN)/python

.venv/installed: pyproject.toml | $(BIN)/python
	@echo 'installing polarbias into .venv (a few hundred MB on first use)'
	$(PIP) --editable .
	@touch $@

.venv/installed-test: pyproject.toml | $(BIN)/python
	@echo 'installing polarbias and its test tools into .venv (a few hundred MB on first use)'
	$(PIP) --editable '.[test]'
	@touch .venv/installed $@

.venv/installed-docs: pyproject.toml | $(BIN)/python
	@echo 'installing polarbias and what its site is made with into .venv'
	$(PIP) --editable '.[docs]'
	@touch .venv/installed $@

reproduce: .venv/installed
	$(BIN)/polarbias reproduce $(ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell README.md CHANGELOG.md docs src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)
	$(BIN)/python tests/check_wheel.py

test-full: lint .venv/installed-docs
	$(BIN)/python -m pytest -n $(WORKERS) -m 'full or not full' --hypothesis-profile=full tests src docs/checks $(ARGS)
	$(BIN)/python tests/check_wheel.py

site: .venv/installed-docs
	$(BIN)/mkdocs build --strict

# Peers hold back versions of NumPy at times, so they are kept away from .venv.
.race/installed: benchmarks/basis_pursuit/requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear --without-pip .race
	$(PYTHON) -m pip --disable-pip-version-check --python .race/bin/python install --quiet \
	  --requirement benchmarks/basis_pursuit/requirements.txt --editable .
	@touch $@

race: .race/installed
	.race/bin/python benchmarks/basis_pursuit/race.py $(ARGS)

format: .venv/installed-test
	$(BIN)/ruff check --fix-only --exit-zero
	$(BIN)/ruff format

clean:
	rm -rf .venv .race site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
