"""What a reader of `nnfast bench` sees: one line a case.

In: Lines, Limits, footprints. Out: lines of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nnfast.benchmark.limits import Limits
from nnfast.benchmark.rounds import Line
from nnfast.benchmark.statistics import geometric_mean
from nnfast.benchmark.timing import format_seconds

WIDTH, COLUMN = 42, 22
LOST = " <"


def head(machine: dict[str, Any], versions: dict[str, str], skipped: dict[str, str]) -> Iterable[str]:
    """Machine and versions."""
    caches = ", ".join(f"{name} {_bytes(nbytes)}" for name, nbytes in machine["caches"].items())
    yield f"{machine['cpu']}, {machine['cores']} cores, {caches}; {machine['system']}; {machine['date']}"
    yield f"SIMD level {machine['level']}; {machine['threads']} threads on every side; Python {machine['python']}"
    yield "; ".join(f"{name} {version}" for name, version in versions.items())
    for name, reason in skipped.items():
        yield f'{name} is left out: {reason}; pip install "nnfast[bench]"'


def limits(measured: Sequence[Limits]) -> Iterable[str]:
    """What the machine can do."""
    yield ""
    yield "The machine's limits, measured: float32 multiply-adds, GB/s read, and read and written in place"
    for found in measured:
        levels = "; ".join(f"{level.name} {level.read / 1e9:.0f}, {level.update / 1e9:.0f}" for level in found.levels)
        yield f"{found.threads:3} threads, {found.simd}: {found.flops / 1e9:.0f} GFLOP/s; GB/s {levels}"
        if found.threads > 1:
            region, barrier = format_seconds(found.region), format_seconds(found.barrier)
            yield f"{'':12}a parallel region {region}, a barrier {barrier}"


def other_levels(flops: dict[str, dict[Any, float]]) -> Iterable[str]:
    """Multiply-adds of the SIMD levels that are not in use."""
    for simd, counts in flops.items():
        rates = ", ".join(f"{rate / 1e9:.3g} on {count}" for count, rate in counts.items())
        yield f"{simd}: GFLOP/s by threads: {rates}"


def title(group: str, peers: Sequence[str]) -> str:
    """The line above a group."""
    return f"\n{group:{WIDTH}}{'nnfast':>9}{'rate':>13}{'of limit':>15}" + "".join(
        f"{name:>{COLUMN}}" for name in peers
    )


def row(line: Line, peers: Sequence[str]) -> str:
    """One case: nnfast's time, rate and part of the limit; for each peer, how many times as long it takes, with the interval."""
    by_flops = line.bound == "flops"
    rate = (
        f"{line.flops / line.seconds / 1e9:.3g} GFLOP/s" if by_flops else f"{line.nbytes / line.seconds / 1e9:.3g} GB/s"
    )
    part = f"{line.fraction:.0%} {line.bound}"
    text = f"{line.case:{WIDTH}}{format_seconds(line.seconds):>9}{rate:>13}{part:>15}"
    for name in peers:
        if name in line.notes:
            text += f"{'' if line.notes[name].startswith('not done') else line.notes[name].split(':')[0]:>{COLUMN}}"
            continue
        found = line.ratios[name]
        mark = LOST if found.high < 1 else "  "
        text += f"{f'{_short(found.median)} ({_short(found.low)}-{_short(found.high)}){mark}':>{COLUMN}}"
    return text + "".join(
        f"\n    {name}: {note}" for name, note in line.notes.items() if not note.startswith("not done")
    )


def _short(ratio: float) -> str:
    """A ratio with two digits behind the point, fewer where it is large."""
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}"


def means(lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    """Geometric mean of the ratios, by group and peer; "best" is the fastest peer of each case."""
    found: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        ratios = {name: ratio.median for name, ratio in line.ratios.items()}
        if len(ratios) > 1:
            ratios["best"] = min(ratios.values())
        for name, ratio in ratios.items():
            found.setdefault(line.group, {}).setdefault(name, []).append(ratio)
    return {group: {name: geometric_mean(ratios) for name, ratios in by.items()} for group, by in found.items()}


def summary(lines: Sequence[Line]) -> Iterable[str]:
    """Geometric means, and the cases that nnfast loses."""
    if not any(line.ratios for line in lines):
        return
    by_group = means(lines)
    names = sorted(dict.fromkeys(name for by in by_group.values() for name in by), key=lambda name: name == "best")
    yield ""
    yield f"{'geometric mean: time of peer / time of nnfast':{WIDTH + 9}}" + "".join(f"{name:>14}" for name in names)
    for group, by in by_group.items():
        yield f"{group:{WIDTH + 9}}" + "".join(f"{by[name]:14.2f}" if name in by else f"{'':14}" for name in names)
    lost = [(line, name) for line in lines for name, ratio in line.ratios.items() if ratio.high < 1]
    count = sum(len(line.ratios) for line in lines)
    yield f"\n{len(lost)} of {count} comparisons lost (marked{LOST}): the whole 95 % interval of the ratio is below 1"
    for line, name in sorted(lost, key=lambda pair: pair[0].ratios[pair[1]].median):
        yield f"  {line.case:{WIDTH}} against {name}: {line.ratios[name].median:.2f}"


def footprint(found: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Import, size, memory, first call."""
    columns = {
        "import_seconds": ("import beyond NumPy", format_seconds),
        "installed_bytes": ("installed", _bytes),
        "compressed_bytes": ("compressed", _bytes),
        "first_call_seconds": ("first fit call", format_seconds),
        "peak_bytes": ("peak memory, training", _bytes),
        "image_peak_bytes": ("peak, ResNet-18", _bytes),
    }
    yield ""
    yield f"{'in a fresh process':20}" + "".join(f"{text:>23}" for text, _ in columns.values())
    for name, facts in found.items():
        cells = (show(facts[key]) if facts.get(key) else "" for key, (_, show) in columns.items())
        yield f"{name:20}" + "".join(f"{cell:>23}" for cell in cells) + facts.get("error", "")


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
