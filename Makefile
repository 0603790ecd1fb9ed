# make table: set up, then the main job.  make test: set up, then the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup table test test-oldest check bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	touch $@

setup: .venv/installed  ## the environment in .venv

table: setup  ## train once, explain, print the leaderboard
	$(BIN)/assay

# two workers on two cores: torch's own threads would only wait for each other
test test-oldest: export OMP_NUM_THREADS = 1

test: setup  ## the whole test suite
	$(BIN)/pytest --numprocesses=2 --dist=worksteal

.oldest/installed: .venv/installed constraints-oldest.txt
	rm -rf .oldest
	$(BIN)/pip install --quiet --no-deps --target .oldest --requirement constraints-oldest.txt
	touch $@

# every method on every architecture, and real checkpoints; what hangs on our own code alone is tested once, by `test`
test-oldest: .oldest/installed  ## what touches a model, under the oldest supported transformers
	PYTHONPATH=.oldest $(BIN)/pytest --numprocesses=2 -W ignore::pytest.PytestUnraisableExceptionWarning \
		-k 'not batch_of_two and not left_as_they_were and not repr and not one_key and not real_sentence' \
		tests/test_contracts.py tests/test_architectures.py tests/harness/test_trace.py tests/tasks/test_pretrained.py \
		tests/tasks/test_masked_word_model.py

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: setup  ## speed, as ratios to other programs in one run
	$(BIN)/python -m tests.benchmark

clean:
	rm -rf .venv .oldest build *.egg-info
