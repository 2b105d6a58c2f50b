# Everything a fresh machine needs: `make demo` and `make test` create .venv, install, and run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
STAMP := $(VENV)/.installed

# Both pairs of langchain-core and langchain that are supported, whatever the installer makes of the ranges today.
PAIRS := 1.4 1.5

.PHONY: demo test unit integration benchmark lint format results clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[full,ray]" --group test --group lint
	$(BIN)/python -m pip install --quiet --no-deps -r tests/requirements-no-deps.txt
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/selectllm demo

test: unit integration

unit: $(PAIRS:%=unit-%)

unit-%: $(VENV)/langchain-%/.installed
	PYTHONPATH=$(CURDIR)/$(<D) $(BIN)/python -m pytest tests/unit_tests --disable-socket --allow-unix-socket

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
	$(BIN)/python benchmarks/results.py $(DATA) --write README.md
	$(MAKE) figure

.PHONY: figure
figure: $(STAMP)
	$(BIN)/python -m pip install --quiet --group figure
	$(BIN)/python benchmarks/figure.py README.md docs/results.svg

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
