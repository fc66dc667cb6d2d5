"""Environment variables, CPU affinity, cgroups and topology, on folders made for the test."""

import pytest

from nnfast import environment
from nnfast.errors import SettingError, UnknownNameError

NOTHING: dict[str, str] = {}


def make_root(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def siblings(cpu, text):
    return {f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": text}


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "257", "4,2"])
def test_nonsense_in_thread_variable(text):
    with pytest.raises(SettingError, match="NNFAST_NUM_THREADS="):
        environment.default_thread_count({"NNFAST_NUM_THREADS": text})


def test_own_variable_before_that_of_openmp():
    count, reason = environment.default_thread_count({"NNFAST_NUM_THREADS": " 3 ", "OMP_NUM_THREADS": "5"})
    assert (count, reason) == (3, "NNFAST_NUM_THREADS=3")


def test_openmp_variable_with_levels():
    assert environment.default_thread_count({"OMP_NUM_THREADS": "4,2"}) == (4, "OMP_NUM_THREADS=4,2")


@pytest.mark.parametrize("text", ["", "0", "many", "-2"])
def test_nonsense_in_openmp_variable_is_ignored(text, tmp_path):
    count, reason = environment.default_thread_count({"OMP_NUM_THREADS": text}, tmp_path, frozenset({0, 1, 2}))
    assert (count, reason) == (3, "processors this process may run on")


def test_affinity_alone(tmp_path):
    assert environment.default_thread_count(NOTHING, tmp_path, frozenset({5}))[0] == 1


def test_physical_cores(tmp_path):
    files = siblings(0, "0,2") | siblings(1, "1,3") | siblings(2, "0,2") | siblings(3, "1,3")
    root = make_root(tmp_path, files)
    assert environment.default_thread_count(NOTHING, root, frozenset(range(4))) == (2, "physical cores")
    assert environment.default_thread_count(NOTHING, root, frozenset({0, 2})) == (1, "physical cores")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("garbage", 8), ("", 8)],
)
def test_cgroup_2(tmp_path, quota, expected):
    root = make_root(tmp_path, {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": quota + "\n"})
    assert environment.default_thread_count(NOTHING, root, frozenset(range(8)))[0] == expected


def test_tightest_cgroup_counts(tmp_path):
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/cpu.max": "300000 100000",
        "sys/fs/cgroup/a/b/cpu.max": "600000 100000",
    }
    count, reason = environment.default_thread_count(NOTHING, make_root(tmp_path, files), frozenset(range(8)))
    assert (count, reason) == (3, "cgroup quota of 3 processors")


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("400000", 4), ("10000", 1)])
def test_cgroup_1(tmp_path, quota, expected):
    files = {
        "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n",
        "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": quota,
        "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
    }
    root = make_root(tmp_path, files)
    assert environment.default_thread_count(NOTHING, root, frozenset(range(8)))[0] == expected


def test_tightest_cgroup_1_counts(tmp_path):
    """A parent's quota holds for its children, whatever theirs is."""
    files = {"proc/self/cgroup": "3:cpu,cpuacct:/a/b/c\n"}
    for folder, quota in (("a", "700000"), ("a/b", "300000"), ("a/b/c", "-1")):
        files[f"sys/fs/cgroup/cpu,cpuacct/{folder}/cpu.cfs_quota_us"] = quota
        files[f"sys/fs/cgroup/cpu,cpuacct/{folder}/cpu.cfs_period_us"] = "100000"
    assert environment.default_thread_count(NOTHING, make_root(tmp_path, files), frozenset(range(8)))[0] == 3


def test_cgroup_path_outside_the_container(tmp_path):
    files = {"proc/self/cgroup": "0::/../../host/slice\n", "sys/fs/cgroup/cpu.max": "200000 100000"}
    assert environment.default_thread_count(NOTHING, make_root(tmp_path, files), frozenset(range(8)))[0] == 2


def test_here():
    count, reason = environment.default_thread_count(NOTHING)
    assert count >= 1
    assert reason


def test_isa():
    assert environment.isa_cap(NOTHING) is None
    assert environment.isa_cap({"NNFAST_ISA": "Scalar"}) == "scalar"
    with pytest.raises(UnknownNameError, match="did you mean 'avx512'"):
        environment.isa_cap({"NNFAST_ISA": "avx-512"})


def test_debug():
    assert environment.debug_words(NOTHING) == frozenset()
    assert environment.debug_words({"NNFAST_DEBUG": "passes,time,"}) == {"passes", "time"}
    with pytest.raises(UnknownNameError, match="did you mean 'plan'"):
        environment.debug_words({"NNFAST_DEBUG": "plans"})


def test_folders(tmp_path):
    assert environment.data_folder({"NNFAST_DATA": str(tmp_path)}) == tmp_path
    with pytest.raises(SettingError, match="no such folder"):
        environment.data_folder({"NNFAST_DATA": str(tmp_path / "missing")})
    assert environment.cache_folder(NOTHING).name == "nnfast"
