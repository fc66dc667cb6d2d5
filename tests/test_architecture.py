"""The shape of the source: imports point one way, files stay short, names say something.

The order is that of the folders in README.md. A module may import from its own line and from lines below it.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nnfast"
MOST_LINES = 400

ORDER = """
    cli __main__
    benchmark
    __init__
    generation
    applications explain
    model sequential structure gradient saving summary training augmentation freezing receipt decoding sentences tokenizers columns
    layers losses metrics optimizers callbacks history progress
    activations initializers regularizers schedules serialization typing
    variable random kernels precision
    plan
    passes
    reference
    ops
    graph
    data datasets io
    config
    windows exact
    _core
    environment boundary errors locks _version
"""
RANK = {name: rank for rank, line in enumerate(reversed(ORDER.split("\n"))) for name in line.split()}

MODULES = sorted(PACKAGE.rglob("*.py"))
COMPILED = sorted([*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")])
SOURCES = [
    path
    for folder, kinds in (("nnfast", "py pyx pxd pyi"), ("csrc", "c h"), ("tests", "py"), ("bench", "py"))
    for kind in kinds.split()
    for path in sorted((ROOT / folder).rglob(f"*.{kind}"))
    if not (kind == "c" and folder == "nnfast")
]


def part_of(module):
    """The first word below nnfast: nnfast.layers.base -> layers."""
    words = module.split(".")
    return words[1] if len(words) > 1 else "__init__"


def part_of_file(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].split(".")[0] if len(relative.parts) > 1 else relative.stem


def statements(tree):
    """All statements but those under `if TYPE_CHECKING`, which do not run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from statements(node)


def imported(path):
    """Parts of nnfast that a module imports, at its top or inside a function."""
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (part_of(alias.name) for alias in node.names if alias.name.split(".")[0] == "nnfast")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            if node.module == "nnfast":
                yield from (alias.name if alias.name in RANK else "__init__" for alias in node.names)
            elif node.module and node.module.split(".")[0] == "nnfast":
                yield part_of(node.module)


def rank(part):
    # training.py may become training_loop.py and its like: the first word counts
    return RANK.get(part, RANK.get(part.split("_")[0]))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = part_of_file(path)
    assert rank(own) is not None, f"{own} has no place in ORDER"
    wrong = sorted({part for part in imported(path) if rank(part) is None or rank(part) > rank(own)})
    assert not wrong, f"{path.relative_to(ROOT)} imports from above itself: {', '.join(wrong)}"


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_compiled_core_imports_nothing_above(path):
    found = re.findall(r"^\s*(?:from|import|cimport)\s+nnfast\.(\w+)", path.read_text(), re.MULTILINE)
    assert all(rank(part) <= rank("_core") for part in found), found


def test_the_test_sees_a_wrong_import(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from nnfast.model import Model\n"
        "def f():\n    from nnfast.plan.eager import run_op\n"
        "    import nnfast\n    from nnfast import graph, Sequential\n"
    )
    assert sorted(imported(wrong)) == ["__init__", "__init__", "graph", "plan"]
    assert rank("plan") > rank("graph") > rank("errors")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_length(path):
    count = len(path.read_text().splitlines())
    assert count <= MOST_LINES, f"{path.relative_to(ROOT)} has {count} lines; over {MOST_LINES} it wants to be two"


def test_names_say_something():
    empty = {"utils", "util", "misc", "helpers", "common", "old", "new", "tmp", "stuff"}
    assert not [path for path in SOURCES if {path.stem, *path.relative_to(ROOT).parts[:-1]} & empty]


def test_each_module_explains_itself():
    silent = [path for path in MODULES if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent
