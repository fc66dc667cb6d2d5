"""Programs that take long and need nothing of the tests: begun when a whole suite is collected, beside tests that use one processor, at
the lowest priority, and waited for where their results are checked.
"""

import atexit
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

_programs = []


class Program:
    """command: a function of a new folder, which gives the command, or None where a tool is missing. options: of the process."""

    def __init__(self, command, **options):
        self._command, self._options = command, options
        self._process = self._folder = None
        _programs.append(self)

    def begin(self):
        self._folder = Path(tempfile.mkdtemp())
        command = self._command(self._folder)
        if command is not None:
            with (self._folder / "stdout").open("w") as out, (self._folder / "stderr").open("w") as problems:
                self._process = subprocess.Popen(
                    ["nice", "-n", "19", *command], stdout=out, stderr=problems, **self._options
                )
        atexit.register(self._end)

    def result(self, seconds=600):
        """Its folder and standard output."""
        if self._folder is None:
            self.begin()
        assert self._process.wait(seconds) == 0, (self._folder / "stderr").read_text()
        return self._folder, (self._folder / "stdout").read_text()

    def _end(self):
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def begin_all():
    for program in _programs:
        program.begin()
