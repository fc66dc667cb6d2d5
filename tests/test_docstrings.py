"""The examples in the docstrings run, and give what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import nnfast

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(nnfast.__path__, "nnfast.") if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    nnfast.set_random_seed(0)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testmod(
        module, optionflags=flags, extraglobs={"np": np}
    )  # functions stand in public modules, too
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    counts = {name: len([t for t in finder.find(importlib.import_module(name)) if t.examples]) for name in MODULES}
    assert sum(counts.values()) > 100, counts
