# make table: set up, then the main job.  make test: set up, then the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup table test check bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	touch $@

setup: .venv/installed  ## the environment in .venv

table: setup  ## train once, explain, print the leaderboard
	$(BIN)/assay

test: setup  ## the whole test suite
	$(BIN)/pytest --numprocesses=2

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: setup  ## speed, as ratios to other programs in one run
	$(BIN)/python -m tests.benchmark

clean:
	rm -rf .venv build *.egg-info
