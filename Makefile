# Bare `make` checks the code. `make demo` shows the whole system; `make test` runs everything.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PACKAGES := network chaincode peer_client model
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \
	$(if $(UPGRADE),--upgrade)
PYTEST := $(BIN)/python -m pytest -q
export TF_CPP_MIN_LOG_LEVEL ?= 3
export OMP_NUM_THREADS ?= 1

.PHONY: check setup lock test-programs demo test lint format types imports documentation unit model scenarios fabric \
	simulate evidence benchmark-encryption benchmark-round benchmark-training benchmark-spoiled-rounds clean

check: setup lint types imports documentation unit  ## lint, types, import rules, documentation, fast tests

setup:  ## .venv, Pyfhel and Fabric, from caches where there are some
	@$(PYTHON) setup/install.py

lock:  ## resolve the ranges of setup.cfg again into setup/*.lock; UPGRADE=1 takes the newest
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) setup.cfg setup/tools.in --extra dev -o setup/requirements.lock
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) setup/pyfhel-build.in -o setup/pyfhel-build.lock

demo: setup  ## four hospitals train one network over a real Fabric (DATA=<folder> for real CT)
	@$(BIN)/python examples/demo.py $(if $(DATA),--data "$(DATA)") $(DEMO_OPTIONS)

test: check model scenarios fabric  ## every test

lint:
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format:  ## rewrite the code in the project's format, renew the pages made from the programs
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/python docs/renew.py

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports

documentation:
	@$(PYTEST) tests/documentation

unit:
	@$(PYTEST) --doctest-modules tests/unit $(PACKAGES) --ignore=model/layers

test-programs:  ## Debian packages that the scenarios talk to (asks for root where one is missing)
	@setup/test_programs.sh

model: setup
	@$(PYTEST) tests/model

scenarios: setup test-programs
	@$(PYTEST) tests/scenarios -m "not fabric"

fabric: setup
	@$(PYTEST) -m fabric tests/fabric tests/scenarios

simulate: setup  ## all hospitals in one process on the in-memory ledger (DATA=<folder>)
	@$(BIN)/hospital-client simulate $(if $(DATA),--data "$(DATA)") $(SIMULATE_OPTIONS)

evidence: setup  ## every comparison of docs/evidence.md (DATA=<folder>); goes on where it stopped
	@$(BIN)/python -m benchmarks.evidence $(if $(DATA),--data "$(DATA)") $(EVIDENCE_OPTIONS)

benchmark-encryption: setup
	@$(BIN)/python -m benchmarks.encryption

benchmark-round: setup  ## AGAINST=<folder of another checkout> measures both in turns
	@$(BIN)/python benchmarks/round.py $(if $(AGAINST),--against "$(AGAINST)")

benchmark-spoiled-rounds: setup  ## what two opened sums from one parent show (DATA=<folder>)
	@$(BIN)/python benchmarks/spoiled_rounds.py $(if $(DATA),--data "$(DATA)")

benchmark-training: setup
	@$(BIN)/python -m benchmarks.training

clean:  ## remove .venv and what tests left; builds in the cache stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
