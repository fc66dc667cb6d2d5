"""`nnfast doctor`: each finding appears where its cause does, and only there, with a way out."""

import json
import os
import subprocess
import sys

import pytest

from nnfast import cli, environment
from nnfast.cli import doctor
from nnfast.cli.doctor import Facts

LEVELS = [{"name": name, "available": True, "reason": None} for name in ("scalar", "avx2", "avx512")]
OLD = [LEVELS[0], {"name": "avx2", "available": False, "reason": "the CPU has no avx2"}]

# facts, the state and matter of the finding, words of its text or advice
SICK = {
    "capped": ({"level": "avx2", "levels": LEVELS}, "warning", "SIMD level", "avx2, although this machine has avx512"),
    "old processor": ({"level": "scalar", "levels": OLD}, "warning", "SIMD level", "the CPU has no avx2"),
    "threads": ({"threads": 8, "threads_from": "NNFAST_NUM_THREADS=8"}, "warning", "threads", "more than the 2"),
    "quota kept": ({"quota": 1.5, "threads": 1}, "note", "cgroup quota", "1.5 of 2 processors"),
    "quota": ({"quota": 1.5, "threads": 2}, "warning", "cgroup quota", "raise the container's CPU limit"),
    "affinity": ({"processors": 8}, "note", "affinity", "2 of 8 processors"),
    "load": ({"load": 2.0}, "warning", "load", "NNFAST_NUM_THREADS to the number of processors that are free"),
    "load unknown": ({"load": None}, "note", "load", "does not say"),
    "serial": ({"openmp": 0}, "warning", "OpenMP", "one thread"),
    "two runtimes": (
        {"runtimes": ["libgomp.so.1", "libiomp5.so"]}, "note", "OpenMP runtimes", "libgomp.so.1, libiomp5.so",
    ),
    "spinning": ({"variables": {"OMP_WAIT_POLICY": "ACTIVE"}}, "warning", "OpenMP waiting", "unset OMP_WAIT_POLICY"),
    "flushed": ({"flush_to_zero": True}, "warning", "denormal numbers", "(FTZ)"),
    "read as zero": (
        {"flush_to_zero": True, "denormals_are_zero": True}, "warning", "denormal numbers", "(FTZ, DAZ)",
    ),
    "huge pages": ({"huge_pages": "never"}, "note", "huge pages", "transparent_hugepage"),
    "typing error": (
        {"variables": {"NNFAST_NUM_TREADS": "4"}}, "warning", "environment", "did you mean 'NNFAST_NUM_THREADS'",
    ),
    "bad value": ({"setting_error": "NNFAST_NUM_THREADS=x: expected"}, "warning", "environment", "THREADS=x"),
}  # fmt: skip


@pytest.mark.parametrize("case", SICK)
def test_finding(case):
    changes, state, matter, words = SICK[case]
    before = {finding for finding in doctor.judge(Facts()) if finding.state != "ok"}
    assert not before
    found = [finding for finding in doctor.judge(Facts(**changes)) if finding.state != "ok"]
    assert [(finding.state, finding.matter) for finding in found] == [(state, matter)]
    assert words in f"{found[0].text} {found[0].advice}"


def test_exit_code_and_text(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "collect", Facts)
    assert cli.main(["doctor"]) == 0
    assert "nothing to mend" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "collect", lambda: Facts(load=9.0))
    assert cli.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "warning  load" in text
    assert "-> stop the others" in text
    assert cli.main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is False
    assert found["facts"]["load"] == 9.0
    assert {finding["matter"] for finding in found["findings"]} >= {"load", "threads", "denormal numbers"}


def test_facts_are_read_from_the_system(tmp_path, monkeypatch):
    for name, text in {
        "proc/loadavg": "1.25 0.5 0.5 3/100 77\n",
        "proc/self/maps": "00-01 r-xp 0 00:00 1 /usr/lib/libgomp.so.1\n02-03 r-xp 0 00:00 1 /a b/libomp.so\n"
        "02-03 rw-p 0 00:00 1 /a b/libomp.so\n04-05 rw-p 0 00:00 0\n06-07 r-xp 0 00:00 1 /usr/lib/libm.so.6\n",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("NNFAST_OPTIMISE", "1")
    monkeypatch.setenv("NNFAST_NUM_THREADS", "many")
    facts = doctor.collect(str(tmp_path))
    assert (facts.load, facts.quota, facts.huge_pages) == (1.25, 1.5, "never")
    assert facts.runtimes == ["libgomp.so.1", "libomp.so"]
    assert facts.variables["NNFAST_OPTIMISE"] == "1"
    assert "NNFAST_NUM_THREADS=many" in facts.setting_error
    assert doctor.collect(str(tmp_path / "nothing")).load is None
    (tmp_path / "proc/loadavg").write_text("9.00 0.5 0.5 1/100 77\n")  # one's own training, which has ended
    assert doctor.collect(str(tmp_path)).load == 0


def test_every_variable_of_nnfast_is_known():
    known = dict.fromkeys(environment.VARIABLES, "1")
    assert not [f for f in doctor.judge(Facts(variables=known)) if f.state != "ok"]


def test_flags_of_denormals_are_seen():
    """As PyTorch sets them for its user, in a process of its own."""
    pytest.importorskip("torch")
    code = (
        "import torch, nnfast.cli.doctor as d; assert d.denormal_state() == (False, False);"
        "ok = torch.set_flush_denormal(True); print(ok, *d.denormal_state())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert found.split() in (["True", "True", "True"], ["False", "False", "False"])


def test_a_reader_that_stops_early_is_no_error():
    """`nnfast info | head -1`: no traceback where the pipe is closed."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nnfast", "info"], stdout=write, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(write)
    assert done.stderr == b""
    assert done.returncode == 141
