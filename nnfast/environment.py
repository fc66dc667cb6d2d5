"""What nnfast reads from outside: environment variables, and the processors that this process may use.

In: NNFAST_NUM_THREADS, OMP_NUM_THREADS, NNFAST_ISA, NNFAST_DATA, NNFAST_DEBUG, XDG_CACHE_HOME; CPU affinity, cgroup
quota and the CPU topology. Out: parsed values. No other module reads the environment. `root` and `environ` arguments
are for tests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nnfast.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = ("scalar", "avx2", "avx512", "neon")
DEBUG_WORDS = ("passes", "plan", "time")
MOST_THREADS = 256

VARIABLES = {
    "NNFAST_NUM_THREADS": "number of threads; a positive integer",
    "OMP_NUM_THREADS": "number of threads where NNFAST_NUM_THREADS is not set",
    "NNFAST_ISA": "highest SIMD level to use: " + ", ".join(LEVELS),
    "NNFAST_DATA": "folder with data sets, looked in before the cache and the network",
    "NNFAST_DEBUG": "what to print while planning and running, separated by commas: " + ", ".join(DEBUG_WORDS),
}


def settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of nnfast that are set, as they stand.

    >>> settings({"NNFAST_ISA": "avx2", "LANG": "C"})
    {'NNFAST_ISA': 'avx2'}
    """
    values = os.environ if environ is None else environ
    return {name: values[name] for name in VARIABLES if name in values}


def related(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What is set and bears on nnfast: its own variables, also unknown ones, and those of OpenMP runtimes.

    >>> related({"NNFAST_TREADS": "2", "OMP_WAIT_POLICY": "active", "LANG": "C"})
    {'NNFAST_TREADS': '2', 'OMP_WAIT_POLICY': 'active'}
    """
    values = os.environ if environ is None else environ
    return {name: value for name, value in values.items() if name.startswith(("NNFAST_", "OMP_", "GOMP_", "KMP_"))}


def isa_cap(environ: Mapping[str, str] | None = None) -> str | None:
    """The SIMD level that NNFAST_ISA names, in lower case, or None where it is not set.

    Raises:
        UnknownNameError: the value is no level.

    >>> isa_cap({"NNFAST_ISA": "AVX2"})
    'avx2'
    """
    name = _read("NNFAST_ISA", environ)
    if name is None:
        return None
    if name.lower() not in LEVELS:
        raise unknown_name("level in NNFAST_ISA", name, LEVELS)
    return name.lower()


def debug_words(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The words in NNFAST_DEBUG.

    Raises:
        UnknownNameError: a word is not known.

    >>> sorted(debug_words({"NNFAST_DEBUG": "plan, time"}))
    ['plan', 'time']
    """
    words = [word.strip() for word in (_read("NNFAST_DEBUG", environ) or "").split(",")]
    for word in words:
        if word and word not in DEBUG_WORDS:
            raise unknown_name("word in NNFAST_DEBUG", word, DEBUG_WORDS)
    return frozenset(word for word in words if word)


def data_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """The folder that NNFAST_DATA names, or None where it is not set.

    Raises:
        SettingError: there is no such folder.

    >>> data_folder({}) is None
    True
    """
    name = _read("NNFAST_DATA", environ)
    if name is None:
        return None
    from pathlib import Path  # takes milliseconds to import, which `import nnfast` does not spend

    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise SettingError(f"NNFAST_DATA={name}: there is no such folder; name an existing one, or unset the variable")
    return folder


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where downloaded data sets are kept: `nnfast` in XDG_CACHE_HOME, else in ~/.cache. The folder may not exist yet.

    >>> cache_folder({"XDG_CACHE_HOME": "/tmp/cache"}).as_posix()
    '/tmp/cache/nnfast'
    """
    from pathlib import Path

    name = _read("XDG_CACHE_HOME", environ)
    return (Path(name) if name is not None else Path.home() / ".cache") / "nnfast"


def default_thread_count(
    environ: Mapping[str, str] | None = None,
    root: str | os.PathLike[str] = "/",
    affinity: frozenset[int] | None = None,
) -> tuple[int, str]:
    """How many threads to use and why: NNFAST_NUM_THREADS, else OMP_NUM_THREADS, else what the machine allows.

    Without a variable it is the least of: processors this process may run on, cgroup quota, physical cores among them.

    Raises:
        SettingError: NNFAST_NUM_THREADS is not an integer from 1 to 256.

    >>> default_thread_count({"NNFAST_NUM_THREADS": "3"})
    (3, 'NNFAST_NUM_THREADS=3')
    """
    own = _read("NNFAST_NUM_THREADS", environ)
    if own is not None:
        return _positive("NNFAST_NUM_THREADS", own), f"NNFAST_NUM_THREADS={own}"
    other = _read("OMP_NUM_THREADS", environ)
    first = other.split(",")[0].strip() if other is not None else ""
    if first.isdecimal() and int(first) > 0:  # OpenMP itself reports and ignores nonsense in its variable
        return min(int(first), MOST_THREADS), f"OMP_NUM_THREADS={other}"
    return hardware_thread_count(os.fspath(root), affinity)


def hardware_thread_count(root: str = "/", affinity: frozenset[int] | None = None) -> tuple[int, str]:
    """The least of CPU affinity, cgroup quota and physical cores, and which of them it was."""
    processors = affinity if affinity is not None else _affinity()
    limits = [(len(processors), "processors this process may run on")]
    cores = _physical_cores(root, processors)
    if cores is not None:
        limits.append((cores, "physical cores"))
    quota = cgroup_quota(root)
    if quota is not None:
        limits.append((max(1, int(quota)), f"cgroup quota of {quota:g} processors"))
    # min keeps the first of equals, so the plainest reason is named.
    count, reason = min(limits, key=lambda limit: limit[0])
    return min(max(1, count), MOST_THREADS), reason


def _read(name: str, environ: Mapping[str, str] | None) -> str | None:
    value = (os.environ if environ is None else environ).get(name, "").strip()
    return value or None


def _positive(name: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise SettingError(
            f"{name}={text}: expected an integer from 1 to {MOST_THREADS}; correct the variable or unset it"
        )
    return int(text)


def _affinity() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _physical_cores(root: str, processors: frozenset[int]) -> int | None:
    """Number of cores behind the processors, or None where the system does not say."""
    siblings = set()
    for processor in processors:
        text = text_of(os.path.join(root, f"sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"))
        if text is None:
            return None
        siblings.add(text)
    return len(siblings)


def cgroup_quota(root: str) -> float | None:
    """The tightest quota on the way from this process' cgroup to the root, in processors, or None."""
    mount = os.path.join(root, "sys/fs/cgroup")
    quotas = []
    for line in (text_of(os.path.join(root, "proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            quotas += [_quota_2(folder) for folder in _upwards(mount, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_quota_1(folder) for folder in _upwards(os.path.join(mount, controllers), path)]
            quotas += [_quota_1(folder) for folder in _upwards(os.path.join(mount, "cpu"), path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(mount: str, path: str) -> list[str]:
    """Every folder from mount to mount/path; in a container the path may lie outside, then only mount exists."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [os.path.join(mount, *parts[:count]) for count in range(len(parts) + 1)]


def _quota_2(folder: str) -> float | None:
    words = (text_of(os.path.join(folder, "cpu.max")) or "max").split()
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _quota_1(folder: str) -> float | None:
    quota = text_of(os.path.join(folder, "cpu.cfs_quota_us"))
    period = text_of(os.path.join(folder, "cpu.cfs_period_us"))
    return _ratio(quota, period) if quota is not None and period is not None else None


def _ratio(quota: str, period: str) -> float | None:
    """quota / period, or None where no quota is set ("max" in version 2, -1 in version 1)."""
    if not quota.isdecimal() or not period.isdecimal() or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def text_of(path: str) -> str | None:
    """What stands in a small file, or None where it cannot be read."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None
