# The two commands of the README are `make run` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A process more than cores, for the waiting in tests; a file of tests stays in one, so what its tests share is made
# once. In order: long ones come early.
PYTEST = $(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist loadfile \
	--no-loadscope-reorder

# Holdfast is many short processes: without compiled modules each of them compiles all of it anew (half a second).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-slow lint types compiled units prepare audit bench screenshots clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.installed ## Start Holdfast in the foreground (Ctrl-C stops it)
	@exec $(BIN)/python -m jobs.supervise

# What waits for the network, and what needs one core each, goes side by side; what each says stays together.
test: ## Install what the tests need, then run every check
	@$(MAKE) --no-print-directory -j3 --output-sync=target ASKED=test prepare lint types compiled
	@$(MAKE) --no-print-directory units

test-slow: prepare $(VENV)/.installed-dev ## Run the long suites too
	$(PYTEST) -m slow --hypothesis-profile=varied

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# Once, before the processes of `units` do it all at once, each for itself.
compiled: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -q --collect-only >$(VENV)/collected 2>&1 || { cat $(VENV)/collected; exit 1; }

units: $(VENV)/.installed-dev
	$(PYTEST) -m 'not slow'

prepare:
	@sh tests/prepare.sh

# Of its own, so that what looks at the dependencies is none of them.
audit: ## Ask PyPI whether a dependency has a known hole (needs the internet, so `make test` does not)
	@test -x $(VENV)-audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)-audit && \
	  $(VENV)-audit/bin/pip install -qq --disable-pip-version-check pip-audit==2.9.0; }
	@$(VENV)-audit/bin/pip-audit --strict -r requirements.txt -r requirements-dev.txt || \
	  { echo "Not sound, or not asked: what is not found on PyPI was not audited. Is https://pypi.org reached from here?" >&2; exit 1; }

bench: $(VENV)/.installed-dev ## Compare with restic, borg and the plain limits; writes bench/RESULTS.md (three quarters of an hour)
	$(BIN)/python -m bench --keep

screenshots: $(VENV)/.installed-dev ## Make the pictures of the README anew (needs chromium)
	$(BIN)/python docs/make_screenshots.py

clean: ## Remove the virtual environment and caches, never data
	rm -rf $(VENV) $(VENV)-audit .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A stamp a list: installing again only when a list changes.
$(VENV)/.installed: requirements.txt
	@sh -c '$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))"' || \
	  { echo "Holdfast needs Python 3.11 or newer; '$(PYTHON)' is older or missing. Try: make $(or $(ASKED),$(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python cannot make a virtual environment here. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@touch $@
