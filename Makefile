# Everything runs from .venv, which is made from requirements.lock on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
ARGS ?=

.PHONY: help setup run test check bench load cluster chaos soak picture audit lock pin clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(READY) ## make .venv, so that .venv/bin/msgmetrics works

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Fetching what is needed into $(VENV): once, for a minute or two."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

run: setup ## the whole system in one process, with demo traffic (ARGS="--port 8080 --no-demo")
	@exec $(BIN)/msgmetrics dev --data .data $(ARGS)

test: setup ## all tests (ARGS="-k name")
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup ## events per second from Kafka to facts, beside Faust's own ways
	$(BIN)/python -m tests.bench $(ARGS)

load: setup ## the production shape under load for five minutes, the last third beside strangers who attack (ARGS="--seconds 60 --rate 5000")
	$(BIN)/python -m tests.load $(ARGS)

CLUSTER := docker compose --file deploy/cluster/docker-compose.yml
CLUSTER_TESTS := tests/contract/test_cluster.py tests/contract/test_store.py tests/contract/test_store_repair.py

cluster: setup ## the cluster's tests on two shards of two replicas; needs Docker and the internet
	$(CLUSTER) up --detach --wait
	MSGMETRICS_TEST_CLUSTER_URL=http://default@127.0.0.1:18123 $(BIN)/python -m pytest $(CLUSTER_TESTS) -k cluster \
		$(ARGS); code=$$?; $(CLUSTER) down --volumes; exit $$code

audit: setup ## known holes in what the image contains; asks the internet
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements-runtime.lock

picture: setup ## the picture of the dashboard in docs/
	$(BIN)/python -m tests.browser.picture

chaos: setup ## random faults under load, then a recount (MINUTES=30 SEED=7; several seeds: SEED="1 2 3")
	$(BIN)/python -m tests.faults.chaos --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

soak: setup ## a steady load, sampled and drawn as a picture (ARGS="--minutes 10 --rate 20000")
	$(BIN)/python -m tests.faults.soak $(ARGS)

LOCK := --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options --no-header

lock: ## write the lock files anew from pyproject.toml
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile $(LOCK) --extra embedded --extra registry --extra test --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) -c requirements.lock --extra registry --output-file requirements-runtime.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) -c requirements.lock --only-build-deps --build-deps-for wheel \
		--output-file requirements-build.lock pyproject.toml

pin: ## the digests of the images, as registries serve them; needs Docker and the internet
	deploy/pin-images.sh

clean: ## remove what make made; .data stays
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
