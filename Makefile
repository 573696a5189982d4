# Everything a stranger types. `make help` lists the targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_HOME ?= $(CURDIR)/demo
DEMO_STEPS ?= 150
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup check docs format test test-clients test-prometheus test-faults test-slow test-gpu fuzz chaos demo verify soak bench daemon worker wheel starter-voice starter-look clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install everything that was tested together (about 3 minutes, 6 GB)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[workers,otel,c2pa,dev]'
	touch $@

check: $(STAMP) ## format, lint, types, import rules, starter weights against their cards
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	PYTHONPATH=workers $(BIN)/lint-imports
	$(BIN)/python tests/check_starters.py
	$(BIN)/bandit -q -c pyproject.toml -r spinbot cli daemon workers/spinbot_workers
	$(BIN)/python tests/check_advisories.py
	$(BIN)/python docs/reference.py --check
	$(BIN)/python deploy/dashboard.py --check

docs: $(STAMP) ## write docs/commands.md, docs/openapi.json and the dashboard anew
	$(BIN)/python docs/reference.py
	$(BIN)/python deploy/dashboard.py

format: $(STAMP) ## put the source in order
	$(BIN)/ruff format -q .
	$(BIN)/ruff check -q --fix .

test: $(STAMP) ## every test that needs no GPU (real valkey, daemon, workers and models)
	$(BIN)/pytest -q -m 'not gpu and not slow and not prometheus and not faults'

test-clients: $(STAMP) ## curl, Node's ws and websockets follow a job (needs npm)
	cd tests/e2e/node && npm ci --silent --no-audit --no-fund
	$(BIN)/pytest -q tests/e2e/test_clients.py

test-prometheus: $(STAMP) ## Prometheus reads a daemon: every query of deploy/ (needs Debian's prometheus)
	$(BIN)/pytest -q -m prometheus

test-faults: $(STAMP) ## kill, fill, stop and starve a real daemon at the worst moments (5 minutes)
	$(BIN)/pytest -q -m faults

test-slow: $(STAMP) ## the tests that train for minutes
	$(BIN)/pytest -q -m slow

test-gpu: $(STAMP) ## the tests that need a GPU
	$(BIN)/pytest -q -m gpu

fuzz: $(STAMP) ## 10,000 requests, 2,000 WebSockets and 5,000 recordings that are wrong
	$(BIN)/python tests/fuzz

chaos: $(STAMP) ## real jobs on a real daemon, broken at random moments (SEED=n to see a run again)
	$(BIN)/python tests/chaos $(if $(SEED),--seed $(SEED))

demo: $(STAMP) ## train a voice on examples/sample.wav, make a talking video with it, print its path
	@SPINBOT_HOME=$(DEMO_HOME) BIN=$(BIN) STEPS=$(DEMO_STEPS) sh examples/demo.sh

verify: $(STAMP) ## the original's verification list, with curl and a WebSocket client: five ticks
	@BIN=$(BIN) sh examples/verify.sh

soak: $(STAMP) ## 2,000 small jobs from 20 shells, 50 watchers, random cancels
	$(BIN)/python -m benchmarks.soak $(SEED)

bench: $(STAMP) ## the tables of benchmarks/
	$(BIN)/python -m benchmarks

daemon: $(STAMP) ## run the daemon in the foreground
	$(BIN)/spinbot daemon run

worker: $(STAMP) ## run the workers alone, on the broker of REDIS_URL
	$(BIN)/spinbot worker

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/pip wheel -q --no-deps -w dist .

starter-voice: $(STAMP) ## train the starter voice's missing parts again
	PYTHONPATH=workers $(BIN)/python -m starter_voice

starter-look: $(STAMP) ## train the starter look again
	PYTHONPATH=workers $(BIN)/python -m starter_look

clean: ## remove what make made, but .venv
	rm -rf dist build demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
