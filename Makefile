# Everything a fresh machine needs: `make demo` and `make test` create .venv, install, and run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
STAMP := $(VENV)/.installed

# Both pairs of langchain-core and langchain that are supported, whatever the installer makes of the ranges today.
PAIRS := 1.4 1.5

.PHONY: demo test unit unit-once integration benchmark lint format results clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[full,ray,serve]" --group test --group lint
	$(BIN)/python -m pip install --quiet --no-deps -r tests/requirements-no-deps.txt
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/selectllm demo

# Two at a time, each with its output together: no target needs a second core for itself.
test: $(STAMP) $(PAIRS:%=$(VENV)/langchain-%/.installed)
	$(MAKE) --jobs=2 --output-sync=target integration unit

unit: unit-once $(PAIRS:%=unit-%)

# Folders of tests/unit_tests: those that import no LangChain run once, the others once per pair.
# tests/unit_tests/test_suite.py checks both lists.
RUN_ONCE := answers benchmarks classifier encoders evaluation outcomes selection voting
RUN_PER_PAIR := cli collection embedded fanout integrations members paths routing

unit-once unit-%: export OMP_NUM_THREADS := 1
integration: export OMP_NUM_THREADS := 1

UNIT := $(BIN)/python -m pytest --disable-socket --allow-unix-socket

unit-once: $(STAMP)
	$(UNIT) $(RUN_ONCE:%=tests/unit_tests/%) $(wildcard tests/unit_tests/test_*.py)

unit-%: $(VENV)/langchain-%/.installed
	PYTHONPATH=$(CURDIR)/$(<D) $(UNIT) $(RUN_PER_PAIR:%=tests/unit_tests/%)

.PRECIOUS: $(VENV)/langchain-%/.installed
$(VENV)/langchain-%/.installed: tests/langchain-%.txt $(STAMP)
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --target $(@D) -r $<
	touch $@

integration: $(STAMP)
	SELECTLLM_DATA=$(DATA) $(BIN)/python -m pytest tests/integration_tests

benchmark: $(STAMP)
	$(BIN)/python -m pytest tests/benchmarks -m measurement -s

results: $(STAMP)
	$(BIN)/python benchmarks/results.py $(DATA) --write docs/explanation/results.md
	$(MAKE) figure

# The README's table and figure, from the results page.
.PHONY: figure
figure: $(STAMP)
	$(BIN)/python -m pip install --quiet --group figure
	$(BIN)/python benchmarks/summary.py docs/explanation/results.md README.md
	$(BIN)/python benchmarks/figure.py docs/explanation/results.md docs/results.svg

.PHONY: peers out-of-distribution
peers: $(STAMP)
	$(BIN)/python benchmarks/peers.py $(DATA) --write docs/explanation/peers.md --json docs/explanation/peers.json

out-of-distribution: $(STAMP)
	$(BIN)/python benchmarks/out_of_distribution.py $(DATA) --write docs/explanation/out-of-distribution.md

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy langchain_selectllm
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info
