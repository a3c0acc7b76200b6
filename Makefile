# `make` alone explains itself. What these targets run is what users and .ci/run run.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
READY := .venv/ready
BENCH_READY := .venv/bench-ready
PEERS_INSTALL := .venv-peers/bin/python -m pip install -qq --disable-pip-version-check
PEERS_READY := .venv-peers/ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench planted rehearsal coverage simulate peers sample-report wheel clean

help: ## show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 20

setup: $(READY) ## only set up .venv

demo: $(READY) ## audit the built-in text and image classifiers (first time: a few minutes), reports in reports/
	@for task in text vision; do $(BIN)/lrp-audit run configs/quickstart_$$task.yaml; code=$$?; \
	case $$code in 0|3|5) ;; *) exit $$code ;; esac; done # 3 and 5 are verdicts, not failures of the demo

test: $(READY) ## run the tests, in two processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY) ## lint, format check, strict types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict lrp audit
	$(BIN)/lint-imports

bench: $(BENCH_READY) ## run the benchmarks in bench/
	$(BIN)/python -m bench

planted: $(READY) ## audit models with planted reliance and write docs/benchmark.md (hours; goes on where it stopped)
	$(BIN)/python -m bench.planted --part calibration
	$(BIN)/python -m bench.planted
	$(BIN)/python -m bench.planted.page > docs/benchmark.new && mv docs/benchmark.new docs/benchmark.md

rehearsal: $(READY) ## the small profile of `make planted`, LRP alone (five minutes on two cores)
	rm -f build/planted/small.jsonl
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.planted --small --workers 2 --results build/planted

coverage: $(READY) ## run the LRP engine over the model zoo and write docs/coverage.md (two minutes)
	$(BIN)/python -m tests.lrp.coverage

simulate: $(READY) ## simulate error rates, coverage and power of the statistics and write docs/simulations.md (an hour)
	$(BIN)/python -m tests.simulations --full

peers: $(READY) $(PEERS_READY) ## compare with zennit, LXT, captum and autoLRP in an environment of their own: relevance and speed
	@for peer in zennit lxt; do \
	  .venv-peers/bin/python -m bench.peers.reference $$peer .venv-peers/$$peer.npz && \
	  $(BIN)/python -m bench.peers.compare $$peer .venv-peers/$$peer.npz || exit 1; done
	.venv-peers/bin/python -m bench.peers.speed

sample-report: $(READY) ## audit the text demonstration without its texts and write reports/sample/ (four minutes)
	rm -rf build/sample
	$(BIN)/lrp-audit run configs/quickstart_text.yaml --output build/sample --set report.examples=0 || test $$? -eq 5
	$(BIN)/python -m tests.sample build/sample/quickstart_text/*

wheel: $(READY) ## build the wheel into dist/
	rm -rf build
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## remove the environment, caches and build products (not reports/)
	rm -rf .venv .venv-peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find audit lrp tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt demo-requirements.txt test-requirements.txt
	@echo "setting up .venv (a few minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "needs Python 3.11 or newer: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(INSTALL) -c constraints.txt -e '.[dev]'
	@$(INSTALL) -c constraints.txt --no-deps -r demo-requirements.txt -r test-requirements.txt
	@touch $@

$(BENCH_READY): $(READY) bench-requirements.txt
	@$(INSTALL) -c constraints.txt --no-deps -r bench-requirements.txt
	@touch $@

$(PEERS_READY): bench/peers/requirements.txt
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@$(PEERS_INSTALL) -c bench/peers/requirements.txt torch
	@$(PEERS_INSTALL) --no-deps -r bench/peers/requirements.txt
	@touch $@
