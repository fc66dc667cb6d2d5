"""The reader of model files under atheris, which looks for inputs that reach new lines. On demand, not in CI:

    pip install atheris
    mkdir -p corpus && PYTHONPATH=tests python tests/state/fuzz_model_file.py corpus -max_total_time=600 -rss_limit_mb=1024

The first byte of an input chooses what the rest is: a whole file, the content of a file with a right checksum, or edits of a real one.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nnfast"]):
    from checks import model_files

SMALL = model_files.small()
PATH = Path(tempfile.mkdtemp()) / "model.nnf"


def test_one_input(data):
    """Called by atheris; an exception is a finding."""
    if not data:
        return
    rest = data[1:]
    if data[0] % 3 == 0:
        model_files.check(rest, PATH)
    elif data[0] % 3 == 1:
        model_files.check(model_files.signed(rest.decode("utf-8", "replace"), {}), PATH)
    else:
        damaged = bytearray(SMALL)
        for place, byte in zip(rest[::3], rest[2::3], strict=False):
            damaged[place * len(damaged) >> 8] ^= byte
        assert not model_files.check(bytes(damaged), PATH) or damaged == SMALL


def main():
    """Begin with a real file in the corpus."""
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders:
        (folders[0] / "small").write_bytes(b"\0" + SMALL)
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
