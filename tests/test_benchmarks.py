"""Benchmarks are not run by the tests, but they must start."""

import importlib
import pkgutil

import pytest

import tests.benchmark


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(tests.benchmark.__path__)])
def test_every_benchmark_can_be_imported(name: str):
    assert importlib.import_module(f"tests.benchmark.{name}")
