# make table: set up, then the main job.  make test: set up, then the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup table test test-browser test-slurm test-oldest check docs bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	touch $@

setup: .venv/installed  ## the environment in .venv

table: setup  ## train once, explain, print the leaderboard
	$(BIN)/assay

# two workers on two cores: torch's own threads would only wait for each other
test test-browser test-slurm test-oldest: export OMP_NUM_THREADS = 1

test: setup  ## the whole test suite
	$(BIN)/pytest --numprocesses=2 --dist=worksteal

test-browser: setup  ## the HTML page in a real browser: Debian's Chromium, which is installed where it is missing
	.ci/install_chromium
	$(BIN)/pytest --numprocesses=2 tests/browser

test-slurm: setup  ## sweeps on a Slurm of this one machine, as root: Debian's packages, which are installed where they are missing
	$(BIN)/pytest tests/slurm

.oldest/installed: .venv/installed constraints-oldest.txt
	rm -rf .oldest
	$(BIN)/pip install --quiet --no-deps --target .oldest --requirement constraints-oldest.txt
	touch $@

OLDEST ?= tests/test_contracts.py tests/test_architectures.py tests/test_decoders.py tests/test_encoder_decoders.py tests/test_removals.py \
	tests/harness/tracing/test_run.py tests/harness/tracing/test_queries_keys.py tests/tasks/test_translation.py tests/tasks/test_copying.py \
	tests/harness/measure/test_behaviour.py tests/tasks/test_model_folder.py tests/harness/api/test_odd_inputs.py \
	tests/tasks/test_pretrained.py tests/tasks/test_word_choice_model.py

test-oldest: .oldest/installed  ## what touches a model, under the oldest supported transformers
	PYTHONPATH=.oldest $(BIN)/pytest --numprocesses=2 -W ignore::pytest.PytestUnraisableExceptionWarning -W ignore::DeprecationWarning $(OLDEST)

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: setup  ## the page of methods, from their own files
	$(BIN)/python -m harness.cli.methods_page > docs/methods.md

bench: setup  ## speed, as ratios to other programs in one run
	$(BIN)/python -m tests.benchmark

clean:
	rm -rf .venv .oldest build *.egg-info
