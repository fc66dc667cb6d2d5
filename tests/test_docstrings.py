"""The examples in the docstrings run, and give what they say."""

import doctest
import importlib
import inspect
import pkgutil
from types import FunctionType

import pytest

import nnfast

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(nnfast.__path__, "nnfast.") if not module.name.endswith("__main__")
)


def examples(module):
    """Those of what the module defines; functions that it shows of others are tested there, where their names are known."""
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        place, _, name = example.name.rpartition(".")
        item = inspect.unwrap(getattr(module, name, None)) if place == module.__name__ else None
        if not isinstance(item, FunctionType) or item.__globals__ is vars(module):
            yield example


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    nnfast.set_random_seed(0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for example in examples(module):
        runner.run(example)
    assert runner.failures == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    counts = {name: len([t for t in finder.find(importlib.import_module(name)) if t.examples]) for name in MODULES}
    assert sum(counts.values()) > 100, counts
