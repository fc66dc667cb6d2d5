"""Files made up by hypothesis: whatever they hold, reading is quick, needs little memory, and ends with a model or an error of nnfast.

CI takes about half a minute; `pytest tests/state/test_fuzz_files.py --fuzz-seconds 600` goes on. fuzz_model_file.py feeds the same
check from atheris, guided by coverage.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import pytest
from checks import model_files
from hypothesis import strategies as st

TESTS = Path(__file__).parent.parent
EXAMPLES = 400
SMALL = model_files.small()
HEADER = 8 + int.from_bytes(SMALL[:8], "little")

numbers = st.integers(-(2**65), 2**65) | st.integers(0, 20) | st.floats()
sizes = st.sampled_from([0, 1, 2, 4, 8, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**64 - 1]) | st.integers(0, 40)
texts = st.text(max_size=12) | st.sampled_from(
    ["nnfast", "1", "model", "Dense", "Sequential", "float32", "relu", "adam", "training"]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
dtypes = st.sampled_from(["F32", "F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "C64", "F8_E4M3", "F4", "X9", ""])
entries = st.dictionaries(
    st.sampled_from(["weight/0", "weight/1", "counters", "training/0", "", "__metadata__ ", "a\0b"]),
    st.fixed_dictionaries(
        {"dtype": dtypes, "shape": st.lists(sizes, max_size=4), "data_offsets": st.lists(sizes, min_size=1, max_size=3)}
    ),
    max_size=4,
)


def paths_in(value, before=()):
    """Where the values in nested JSON types are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*before, key)
        yield from paths_in(item, (*before, key))


@st.composite
def cut_and_changed(draw):
    """A real file with bytes changed, removed, doubled."""
    data = bytearray(SMALL)
    for _ in range(draw(st.integers(1, 4))):
        last = len(data) if draw(st.booleans()) else min(HEADER, len(data))
        place = draw(st.integers(0, max(last - 1, 0)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[place : place + 1] = draw(st.binary(max_size=9))
        elif kind == 1:
            del data[place : place + draw(st.integers(1, 64))]
        elif kind == 2:
            data[place:place] = data[place : place + draw(st.integers(1, 64))]
        else:
            data[:8] = draw(st.integers(0, 2**64 - 1) | st.integers(0, len(data))).to_bytes(8, "little")
    return bytes(data)


@st.composite
def any_header(draw):
    """Any header over any data: bombs, overlaps, holes, shapes beyond every size."""
    header = draw(entries)
    if draw(st.booleans()):
        return model_files.raw(header, draw(st.binary(max_size=64)))
    content = draw(values.map(json.dumps) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    if draw(st.booleans()):
        content = json.dumps({"metadata": draw(values), "tensors": dict.fromkeys(header, "0")})
    return model_files.signed(content, header, draw(st.binary(max_size=64)))


@st.composite
def other_contents(draw, part=None):
    """A real file with right checksums, where values of its metadata (of one part of them) are others and tensors have other types."""

    def change(tensors, metadata):
        changed = metadata if part is None else metadata[part]
        for _ in range(draw(st.integers(1, 3))):
            *before, last = draw(st.sampled_from(sorted(paths_in(changed), key=str)))
            inside = changed
            for key in before:
                inside = inside[key]
            if draw(st.booleans()):
                inside[last] = draw(values)
            elif isinstance(inside, dict):
                del inside[last]
        if draw(st.booleans()):
            name = draw(st.sampled_from(sorted(tensors)))
            kind = draw(st.integers(0, 2))
            if kind == 0:
                del tensors[name]
            elif kind == 1:
                tensors[name] = tensors[name].astype(draw(st.sampled_from(["float16", "float64", "int8", "bool"])))
            else:
                tensors[name] = tensors[name].reshape(draw(st.sampled_from([(-1,), (1, -1), (-1, 1, 1)])))

    return change


class Fuzz:
    """Runs the check on a path; slow files and files that need much are failures."""

    def __init__(self, path, seconds):
        self.path = path
        self.function = model_files.check
        self.settings = hypothesis.settings(
            max_examples=EXAMPLES,
            derandomize=not seconds,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        self.end = time.monotonic() + seconds if seconds else None
        self.loaded = 0

    def check(self, data):
        begin = time.process_time()
        self.loaded += self.function(data, self.path)
        assert time.process_time() - begin < 5.0

    def until_the_end(self, run):
        """Once, or with seed after seed as long as there is time: an example must not fail for the lack of it."""
        if self.end is None:
            run()
            return
        for seed in itertools.count():
            hypothesis.seed(seed)(run)()
            if time.monotonic() > self.end:
                return


@pytest.fixture
def fuzz(tmp_path, request):
    return Fuzz(tmp_path / "model.nnf", request.config.getoption("--fuzz-seconds") / 4)


def test_changed_bytes(fuzz):
    @fuzz.settings
    @hypothesis.given(cut_and_changed())
    def run(data):
        before = fuzz.loaded
        fuzz.check(data)
        assert fuzz.loaded == before or data == SMALL

    fuzz.until_the_end(run)


def test_any_header(fuzz):
    @fuzz.settings
    @hypothesis.given(any_header())
    def run(data):
        fuzz.check(data)

    fuzz.until_the_end(run)
    assert fuzz.loaded == 0


def test_other_contents(fuzz):
    @fuzz.settings
    @hypothesis.given(other_contents())
    def run(change):
        model_files.rewrite(SMALL, fuzz.path, change)
        fuzz.check(fuzz.path.read_bytes())

    fuzz.until_the_end(run)
    assert fuzz.loaded > 0  # a name or a number may be another


def test_other_positions(fuzz):
    """A fit goes on from such a file, or says why not."""
    fuzz.function = model_files.check_fit

    @fuzz.settings
    @hypothesis.given(other_contents("training"))
    def run(change):
        model_files.rewrite(SMALL, fuzz.path, change)
        fuzz.check(fuzz.path.read_bytes())

    fuzz.until_the_end(run)
    assert fuzz.loaded > 0


BOMBS = """
import resource, sys
import nnfast, safetensors.numpy
from checks import model_files
path = sys.argv[1]
small = model_files.small()
limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
huge = 1 << 40
def entry(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
def units(count):
    def change(tensors, metadata):
        for layer in metadata["model"]["config"]["layers"]:
            if "units" in layer["config"]:
                layer["config"]["units"] = count
    return change
files = {
    "header of 2^63 bytes": (1 << 63).to_bytes(8, "little") + b"{}",
    "header of 99 MB that is not there": (99_000_000).to_bytes(8, "little") + b"{}",
    "header of a million brackets": model_files.raw(b"[" * 10**6),
    "header of a million objects": model_files.raw(b'{"a":' * 10**6),
    "shape beyond 2^64": model_files.signed('{"metadata": {}, "tensors": {"a": ""}}', {"a": entry([huge, huge], 0, 8)}, bytes(8)),
    "shape of a terabyte": model_files.signed('{"metadata": {}, "tensors": {"a": ""}}', {"a": entry([huge], 0, 4 * huge)}, bytes(8)),
    "shape of nothing times 2^62": model_files.signed('{"metadata": {}, "tensors": {"a": ""}}', {"a": entry([1 << 62, 0], 0, 0)}),
    "content of brackets": model_files.signed("[" * 10**6, {}),
    "number of a million digits": model_files.signed("9" * 10**6, {}),
}
for change in (units(1 << 20), units(1 << 40), units(20_000)):
    model_files.rewrite(small, path, change)
    files[f"layers {len(files)}"] = open(path, "rb").read()
for name, data in files.items():
    assert not model_files.check(data, path), name
    print(name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
def test_bombs_within_256_megabytes(tmp_path):
    """A process that may not take more memory reads them all, and MemoryError counts as a failure: no small file needs much."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", BOMBS, str(tmp_path / "model.nnf")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12
