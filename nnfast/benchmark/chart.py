"""The ratios as a picture: a dot a case, a row a group and peer, the geometric mean as a bar; SVG without further packages.

In: a report as a dictionary (what --json writes). Out: a file; .svg is written here, .png by matplotlib (extra `viz`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log2
from pathlib import Path
from typing import Any

from nnfast.benchmark.statistics import geometric_mean
from nnfast.errors import MissingExtraError, SettingError

LEFT, TOP, WIDTH, ROW, GAP, RIGHT, BOTTOM = 210, 82, 640, 17, 12, 70, 40
COLORS = ("#0b6e8a", "#c2571a", "#6a3d9a", "#2e7d32", "#a61e4d", "#7a6a00", "#455a64")
WIN, LOSE = "#eef5f0", "#f9eeee"


@dataclass(frozen=True)
class Row:
    """One peer in one group: the ratio of each case."""

    group: str
    peer: str
    ratios: tuple[float, ...]


def write(report: dict[str, Any], path: str) -> None:
    """Draw a report into a file.

    Raises:
        SettingError: the ending is neither .svg nor .png, or there is nothing to draw.
        MissingExtraError: .png without matplotlib.
    """
    kind = Path(path).suffix.lower()
    if kind not in (".svg", ".png"):
        raise SettingError(f"--chart {path}: expected a file that ends with .svg or .png")
    rows = rows_of(report["lines"])
    if not rows:
        raise SettingError(f"--chart {path}: no peer was timed, so there are no ratios to draw; add --against")
    heading = _heading(report["machine"], report["versions"])
    if kind == ".svg":
        Path(path).write_text(svg(rows, heading))
    else:
        _png(rows, heading, path)


def rows_of(lines: Sequence[dict[str, Any]]) -> list[Row]:
    """One row for each group and peer, in the order of the report."""
    found: dict[tuple[str, str], list[float]] = {}
    for group in dict.fromkeys(line["group"] for line in lines):
        for line in lines:
            for peer, ratio in line["ratios"].items() if line["group"] == group else ():
                found.setdefault((group, peer), []).append(ratio["median"])
    peers = list(dict.fromkeys(peer for _, peer in found))
    groups = list(dict.fromkeys(group for group, _ in found))
    keys = [(group, peer) for group in groups for peer in peers if (group, peer) in found]
    return [Row(group, peer, tuple(found[group, peer])) for group, peer in keys]


def _heading(machine: dict[str, Any], versions: dict[str, str]) -> tuple[str, str, str]:
    names = ", ".join(
        f"{name} {version.split(',')[0].split()[0]}" for name, version in versions.items() if name != "level"
    )
    return (
        "Time of the peer / time of nnfast: right of 1, nnfast is faster",
        f"{machine['cpu']}, {machine['threads']} threads, {machine['level']}, {machine['date']}",
        names,
    )


def _bounds(rows: Sequence[Row]) -> tuple[int, int]:
    """Powers of two that enclose all ratios, and 1/2 to 4 at least."""
    ratios = [ratio for row in rows for ratio in row.ratios]
    return min(-1, floor(log2(min(ratios)))), max(2, ceil(log2(max(ratios))))


def _label(power: int) -> str:
    return str(2**power) if power >= 0 else f"1/{2**-power}"


def svg(rows: Sequence[Row], heading: tuple[str, str, str]) -> str:
    """The picture as text."""
    low, high = _bounds(rows)
    peers = list(dict.fromkeys(row.peer for row in rows))

    def x(ratio: float) -> float:
        return round(LEFT + WIDTH * (log2(ratio) - low) / (high - low), 1)

    body: list[str] = []
    y, group = float(TOP), ""
    for row in rows:
        if row.group != group:
            y += GAP if group else 0
            group = row.group
            body.append(_text(12, y + 0.75 * ROW, group, weight="bold"))
        body += _row(row, y, x, COLORS[peers.index(row.peer) % len(COLORS)])
        y += ROW
    bottom = y + 6
    frame = [
        f'<rect x="{LEFT}" y="{TOP - 6}" width="{x(1) - LEFT}" height="{bottom - TOP + 6}" fill="{LOSE}"/>',
        f'<rect x="{x(1)}" y="{TOP - 6}" width="{LEFT + WIDTH - x(1)}" height="{bottom - TOP + 6}" fill="{WIN}"/>',
    ]
    for power in range(low, high + 1):
        at, strong = x(2.0**power), power == 0
        color, width = ("#333", 1.4) if strong else ("#ccc", 0.6)
        frame.append(f'<path d="M{at} {TOP - 6}V{bottom}" stroke="{color}" stroke-width="{width}"/>')
        frame.append(_text(at, bottom + 16, _label(power), anchor="middle"))
    width, height = LEFT + WIDTH + RIGHT, bottom + BOTTOM
    head = [
        _text(12, 22, heading[0], size=15, weight="bold"),
        _text(12, 42, heading[1], color="#555"),
        _text(12, 59, heading[2], color="#555"),
    ]
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join(
        [start, f'<rect width="{width}" height="{height:.0f}" fill="white"/>', *head, *frame, *body, "</svg>", ""]
    )


def _row(row: Row, y: float, x: Any, color: str) -> Iterable[str]:
    middle, mean = y + ROW / 2, geometric_mean(row.ratios)
    yield _text(LEFT - 8, middle + 4, row.peer, anchor="end", color=color)
    for ratio in row.ratios:
        yield f'<circle cx="{x(ratio)}" cy="{middle}" r="3" fill="{color}" fill-opacity="0.35"/>'
    yield f'<path d="M{x(mean)} {y + 2}V{y + ROW - 2}" stroke="{color}" stroke-width="3.5"/>'
    yield _text(LEFT + WIDTH + 8, middle + 4, f"{mean:.2f}", color=color)


def _text(x: float, y: float, text: str, **style: Any) -> str:
    names = {"anchor": "text-anchor", "weight": "font-weight", "size": "font-size", "color": "fill"}
    attributes = "".join(f' {names[name]}="{value}"' for name, value in style.items())
    return f'<text x="{x}" y="{y}"{attributes}>{escape(text)}</text>'


def _png(rows: Sequence[Row], heading: tuple[str, str, str], path: str) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("--chart FILE.png needs matplotlib", "viz") from None
    low, high = _bounds(rows)
    peers = list(dict.fromkeys(row.peer for row in rows))
    figure = Figure(figsize=(9, 1.3 + 0.21 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(2.0**low, 1, color=LOSE)
    axes.axvspan(1, 2.0**high, color=WIN)
    for i, row in enumerate(rows):
        color, mean = COLORS[peers.index(row.peer) % len(COLORS)], geometric_mean(row.ratios)
        axes.plot(row.ratios, [i] * len(row.ratios), "o", color=color, alpha=0.35, markersize=4, markeredgewidth=0)
        axes.plot([mean], [i], "|", color=color, markersize=9, markeredgewidth=3)
        axes.text(1.01, i, f"{mean:.2f}", color=color, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0**low, 2.0**high)
    axes.set_xticks([2.0**power for power in range(low, high + 1)], [_label(p) for p in range(low, high + 1)])
    axes.axvline(1, color="#333", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{row.group}: {row.peer}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_title("\n".join(heading), fontsize=8, loc="left")
    figure.savefig(path, dpi=120)
