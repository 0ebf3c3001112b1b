# Everything a clone needs: Python 3.11 or newer, make, and a package index. `make help` lists what there is.
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.cirtlib-installed
SEED ?= 1
DEMO := cases/exposed-credentials-$(SEED)
ARGS ?=
# The first of these that is new enough makes the environment; name another with `make setup PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: help setup report test lab bench lint lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(STAMP)  ## install everything into .venv, with hashes checked (also: conda env create -f environment.yml)
	@echo "ready; next: source $(VENV)/bin/activate, then cirt --help (or cirt train list)"

# --no-compile: Python compiles what is used when it is used, which halves the installation by pip.
$(STAMP): requirements.lock pyproject.toml
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "No Python 3.11 or newer found$(if $(PYTHON), as '$(PYTHON)'). Install one (such as: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@echo "Installing into $(VENV) (once, a minute or two) ..." >&2
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not make an environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements.lock; \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps -r requirements.lock; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

report: $(STAMP)  ## the main job on the embedded training incident: collect, scope, plan, report (SEED=n for another)
	@$(BIN)/cirt train demo --seed $(SEED) --dir $(DEMO)

test: $(STAMP)  ## the tests, without those that need a server or a browser (ARGS="-k scope" to choose)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not integration" $(ARGS)

lab: $(STAMP)  ## open JupyterLab on the training incident (ARGS="--port=9999 --allow-root" for JupyterLab)
	@test -f $(DEMO)/case/case.yaml || $(BIN)/cirt train demo --seed $(SEED) --dir $(DEMO)
	@$(BIN)/cirt lab $(DEMO)/case $(if $(ARGS),-- $(ARGS))

bench: $(STAMP)  ## the measured comparisons in benchmarks/
	@for file in benchmarks/*.py; do test -f "$$file" || continue; echo "== $$file"; $(BIN)/python "$$file"; done

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary

lock:  ## compile requirements.lock and environment.yml anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --all-extras -o requirements.lock
	@$(MAKE) environment.yml

environment.yml: requirements.lock
	@{ echo "# The versions of requirements.lock for conda; made by \`make lock\`, kept true by tests/test_env.py."; \
	echo "# Without its hashes: pip refuses to install this package itself beside them."; \
	echo "name: cirtlib"; echo "channels: [conda-forge]"; echo "dependencies:"; \
	echo "  - python=3.11"; echo "  - pip"; echo "  - pip:"; \
	sed -nE 's/^([A-Za-z0-9][^ ]*==.*[^ ]) \\$$/      - \1/p' requirements.lock; echo "      - -e ."; } > $@

clean:  ## remove the environment, caches and the training incidents made here
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@for made in cases/*/.cirt-training; do if test -f "$$made"; then rm -rf "$${made%/.cirt-training}"; fi; done
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
