"""CPython without a GIL (3.13t or newer): nnfast keeps it off, and many threads get the right bits. The tests with threads in
test_callers.py run there as they are."""

import re
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
from checks import teams

import nnfast

CORE = Path(nnfast.__file__).parent / "_core"
free_threaded = pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")


@pytest.mark.parametrize("module", sorted(path.stem for path in CORE.glob("*.pyx")))
def test_compiled_modules_do_not_ask_for_a_gil(module):
    """In the C that Cython has made, which a Python with a GIL has too."""
    source = CORE / f"{module}.c"
    if not source.exists():
        pytest.skip("installed without the C sources")
    text = source.read_text()
    assert "{Py_mod_gil, __Pyx_FREETHREADING_COMPATIBLE}" in text
    assert re.findall(r"#define __Pyx_FREETHREADING_COMPATIBLE (\w+)", text)[-1] == "Py_MOD_GIL_NOT_USED"


@free_threaded
def test_the_gil_stays_off():
    code = "import sys, nnfast; from nnfast import kernels, io, datasets; sys.exit(sys._is_gil_enabled())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@free_threaded
def test_threads_get_the_right_bits():
    """Predictions of all rows and of a few, ops that make plans, and kernels, from 16 threads at once."""
    model, x, _ = teams.network()
    few = x[:3].copy()
    all_rows, few_rows = teams.digest(model.predict(x, verbose=0)), teams.digest(model.predict(few, verbose=0))
    wanted = {n: nnfast.ops.softmax(x[:n]).tobytes() for n in range(1, 40)}
    nnfast.plan.eager.forget_plans()
    wrong = []

    def work(number):
        for i in range(20):
            teams.predict_all(model, x, all_rows, 1, wrong)
            teams.predict_all(model, few, few_rows, 10, wrong)
            n = (number * 7 + i) % 39 + 1
            if nnfast.ops.softmax(x[:n]).tobytes() != wanted[n]:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not sys._is_gil_enabled()
