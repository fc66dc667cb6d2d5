"""Saving that is stopped anywhere: by kill -9, by a full disk, by another writer. The file before, or the one after, always loads."""

import builtins
import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from checks import saving_loop

import nnfast
from nnfast import layers
from nnfast.io import read_tensors, tensor_file, write_tensors

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
TESTS = Path(__file__).parent.parent
KILLS = 200


def test_kill_at_200_moments(tmp_path):
    """One process after the other, forked with everything imported, since a new interpreter takes longer than a save; each is killed
    after a random time in which up to three saves have place."""
    path = tmp_path / "model.nnf"
    begin = time.monotonic()
    for _ in range(10):
        saving_loop.save(path, 0)
    longest = 3 * (time.monotonic() - begin) / 10
    rng = random.Random(1)
    numbers, torn = [0], 0
    program = """
import os, sys
from checks import saving_loop
import safetensors.numpy, hashlib
for line in sys.stdin:  # a child per line
    child = os.fork()
    if child == 0:
        number = int(line)
        os.write(1, b"%d\\n" % os.getpid())
        while True:
            number += 1
            saving_loop.save(sys.argv[1], number)
    os.waitpid(child, 0)
    os.write(1, b"gone\\n")
"""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        for _ in range(KILLS):
            parent.stdin.write(b"%d\n" % numbers[-1])
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            time.sleep(rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == b"gone\n"
            numbers.append(saving_loop.number_in(path))
            torn += len(os.listdir(tmp_path)) > 1
            for name in os.listdir(tmp_path):
                if name != path.name:
                    os.unlink(tmp_path / name)
        parent.stdin.close()
    assert numbers == sorted(numbers), "later files, never an older one"
    assert numbers[-1] > KILLS / 20 and torn > KILLS / 20, "kills have to fall into saves, and between them"


class Full:
    """The disk is full at the n-th of all writes, flushes, syncs, renames and openings."""

    def __init__(self, patch, at):
        self.left, self.calls = at, []
        for module, name in ((os, "fsync"), (os, "replace"), (os, "open")):
            patch.setattr(module, name, self._failing(name, getattr(module, name)))
        original = builtins.open
        patch.setattr(
            builtins, "open", lambda *a, **k: self._file(original(*a, **k)) if a[1] == "xb" else original(*a, **k)
        )

    def _failing(self, name, function):
        def call(*arguments, **options):
            self._step(name)
            return function(*arguments, **options)

        return call

    def _step(self, name):
        self.left -= 1
        self.calls.append(name)
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _file(self, file):
        full = self

        class File:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, data):
                half = len(data) // 2
                file.write(data[:half])
                full._step("write")
                file.write(data[half:])

            def flush(self):
                full._step("flush")
                file.flush()

            def fileno(self):
                return file.fileno()

        return File()


STEPS = ["write", "flush", "fsync", "replace", "open", "fsync"]  # the folder is opened for its own fsync


@pytest.mark.parametrize("at", range(1, len(STEPS) + 1))
def test_a_full_disk_at_any_step(at, tmp_path, monkeypatch):
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(8), layers.Dense(3)])
    path = tmp_path / "model.nnf"
    model.save(path)
    old = model.get_weights()
    model.set_weights([weight + 1 for weight in old])
    with monkeypatch.context() as patch:
        full = Full(patch, at)
        with pytest.raises(OSError, match="No space left") as caught:
            model.save(path)
    assert caught.value.errno == errno.ENOSPC and full.calls == STEPS[:at]
    assert os.listdir(tmp_path) == ["model.nnf"], "nothing is left behind"
    wanted = old if at <= STEPS.index("replace") + 1 else model.get_weights()
    found = nnfast.load_model(path).get_weights()
    assert [a.tobytes() for a in found] == [b.tobytes() for b in wanted]


def test_a_disk_with_room(tmp_path, monkeypatch):
    """The steps are all there are: what is tested above is the whole of a save."""
    with monkeypatch.context() as patch:
        full = Full(patch, 100)
        write_tensors(tmp_path / "model.nnf", {}, {})
    assert full.calls == STEPS


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KB, where mounting is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk):
    path = small_disk / "model.nnf"
    write_tensors(path, saving_loop.tensors(1, 10_000), {"number": 1})  # 160 KB
    with pytest.raises(OSError, match="No space left") as caught:
        write_tensors(path, saving_loop.tensors(2, 10_000), {"number": 2})
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(small_disk) == ["model.nnf"] and saving_loop.number_in(path) == 1
    write_tensors(path, saving_loop.tensors(3, 1000), {"number": 3})  # there is room again
    assert saving_loop.number_in(path) == 3


def test_a_training_goes_on_where_a_checkpoint_could_not_be_written(tmp_path, monkeypatch):
    """The error ends the fit; the model is usable, and the checkpoint before is the one to go on from."""
    from checks import resumable

    wanted = resumable.model()
    history = wanted.fit(resumable.X, resumable.Y, **resumable.OPTIONS)
    checkpoint = nnfast.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.nnf"), keep=1)
    original, left = os.fsync, [4]  # two a save

    def full(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    model = resumable.model()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            model.fit(resumable.X, resumable.Y, callbacks=[checkpoint], **resumable.OPTIONS)
    assert os.listdir(tmp_path) == ["2.nnf"]
    assert np.isfinite(model.predict(resumable.X)).all()
    model = resumable.model()
    options = {**resumable.OPTIONS, "resume_from": tmp_path / "2.nnf"}
    assert resumable.receipt(model, model.fit(resumable.X, resumable.Y, **options)) == resumable.receipt(
        wanted, history
    )


def test_two_writers(tmp_path):
    """Two processes save under one name; whoever reads meanwhile finds a whole file."""
    path = tmp_path / "model.nnf"
    saving_loop.save(path, 0)
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "checks.saving_loop", str(path)]
    writers = [
        subprocess.Popen([*command, str(first)], env=environment, stdout=subprocess.PIPE)
        for first in (10**6, 2 * 10**6)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        seen = set()
        end = time.monotonic() + 60
        while time.monotonic() < end and not (len(seen) > 50 and len({n // 10**6 for n in seen}) == 2):
            seen.add(saving_loop.number_in(path))
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert len(seen) > 50 and {n // 10**6 for n in seen} >= {1, 2}


def test_threads_that_save_one_model(tmp_path):
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(8)])
    failed = []

    def save():
        try:
            for _ in range(20):
                model.save(tmp_path / "model.nnf")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and os.listdir(tmp_path) == ["model.nnf"]
    nnfast.load_model(tmp_path / "model.nnf")


def test_what_killed_writers_left_is_removed_by_a_later_one(tmp_path):
    old, new, other = (tmp_path / name for name in (".model.nnf.00.tmp", ".model.nnf.01.tmp", ".model.nnf2.02.tmp"))
    for file in (old, new, other):
        file.write_bytes(b"half a mod")
    an_hour_ago = time.time() - tensor_file.LONGEST_WRITE - 1
    for file in (old, other):
        os.utime(file, (an_hour_ago, an_hour_ago))
    write_tensors(tmp_path / "model.nnf", {}, {})
    assert sorted(os.listdir(tmp_path)) == sorted([new.name, other.name, "model.nnf"])


def test_the_file_and_its_folder_are_flushed(tmp_path, monkeypatch):
    """In this order: contents to the disk, rename, the folder's entry to the disk."""
    seen = []
    fsync, replace = os.fsync, os.replace

    def watched(descriptor):
        seen.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append("replace"), replace(a, b)))
    write_tensors(tmp_path / "model.nnf", {}, {"epoch": 1})
    assert seen == ["file", "replace", "folder"]
    assert read_tensors(tmp_path / "model.nnf") == ({}, {"epoch": 1})
