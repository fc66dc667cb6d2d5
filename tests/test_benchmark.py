"""The benchmark: its cases are what is asked for, a wrong result is not timed, its statistics hold, and its parts print."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from math import prod

import numpy as np
import pytest

from nnfast import cli
from nnfast.benchmark import chart, images, inputs, limits, peers, rounds, sequences, statistics, table, timing
from nnfast.benchmark.cases import CASES, GROUPS, Case
from nnfast.benchmark.peers import nnfast_sequences
from nnfast.benchmark.process import Process, command
from nnfast.benchmark.rounds import Effort, Line
from nnfast.benchmark.run import chosen
from nnfast.errors import NnfastError, SettingError, UnknownNameError

SMALL = Case("products", "x w", (32, 64, 64))


def test_cases():
    assert len({case.name for case in CASES}) == len(CASES)
    products = [case.sizes for case in CASES if case.kind == "x w"]
    assert len(products) >= 40
    assert {m for m, k, n in products} >= {1, 2, 4, 8, 16, 32, 64, 128, 256}
    assert {(n, n, n) for n in (32, 64, 128, 256, 512, 1024, 2048)} <= set(products)
    assert {case.kind for case in CASES} >= {
        "x w",
        "x^T dy",
        "dy w^T",
        "kernels.matmul",
        "softmax",
        "adam",
        "fit",
        "predict",
    }
    assert {case.group for case in CASES if case.quick} == set(GROUPS)
    for case in CASES:
        assert (case.flops > 0 and all(count > 0 for count in case.traffic)) or case.group == "inference"


def test_flops_are_counted():
    assert SMALL.flops == 2 * 32 * 64 * 64
    assert Case("convolutions", "conv", (2, 5, 3, 4, 3, 2)).flops == 2 * 2 * (3 * 3) * (3 * 3) * 3 * 4
    assert Case("attention", "attention", (2, 3, 5, 7)).flops == 7 * 2 * 2 * (5 * 7) * 6  # 6 of 9 scores are seen
    assert Case("inference", "predict", (4, 8, 2), 16).flops == 2 * 16 * (4 * 8 + 8 * 2)
    assert Case("steps", "fit", (4, 8, 2), 16, "adam").flops == 2 * 16 * (2 * 4 * 8 + 3 * 8 * 2)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.flops < 1e8 and case.memory < 1e6], ids=lambda case: case.name
)
def test_nnfast_and_numpy_agree(case):
    own, other = (peers.make_peer(name, 1).make(case) for name in ("nnfast", "numpy"))
    assert own is not None
    assert all(np.isfinite(np.asarray(array)).all() for array in own.result())
    if other is not None:
        assert rounds.difference(other.result(), own.result(), case) == ""
        own.run(2)
        other.run(2)


def test_networks_on_images_have_their_sizes():
    weights = {name: images.sizes(name) for name in images.NETWORKS}
    trained = {
        name: sum(prod(shape) for kind, shape in found.weights if kind not in ("mean", "variance"))
        for name, found in weights.items()
    }
    assert trained["small-cnn"] == 320 + 18496 + 1179776 + 1290
    assert trained["resnet18-cifar"] == 11173962  # as in He et al. with a stem 3x3 and 10 classes
    assert abs(weights["resnet18-cifar"].flops / 1.1113e9 - 1) < 0.01  # 0.56 billion multiplications and additions
    case = Case("steps", "fit", (28, 28, 1), 64, "adam", network="small-cnn")
    assert case.name == "fit small-cnn batch 64"
    first = 2 * 26 * 26 * 32 * 9
    assert case.flops == 64 * (3 * weights["small-cnn"].flops - first)
    assert case.memory > 4 * 1.1e6


TINY = (
    *(("conv", 8, 3, 1, 0, True), ("relu",), ("conv", 16, 3, 2, 1, False), ("norm",), ("relu6",)),
    *(("residual", [("depthwise", 3, 1, 1), ("norm",)], [("conv", 16, 1, 1, 0, False)]), ("relu",), ("max_pool", 2)),
    *(("residual", [("conv", 16, 3, 1, 1, False)], []), ("flatten",), ("dense", 5), ("relu",), ("dense", 10)),
)


@pytest.mark.parametrize("peer", ["torch", "jax", "onnxruntime", "openvino"])
def test_libraries_build_the_same_network_on_images(peer, monkeypatch):
    pytest.importorskip(peer)
    monkeypatch.setitem(images.NETWORKS, "tiny", images.Network((9, 9, 3), TINY, 4, "adam"))
    for case in (
        Case("inference", "predict", (9, 9, 3), 2, network="tiny"),
        Case("steps", "fit", (9, 9, 3), 4, "sgd_momentum", network="tiny"),
    ):
        own, other = (peers.make_peer(name, 1).make(case) for name in ("nnfast", peer))
        if other is not None:
            assert rounds.difference(other.result(), own.result(), case) == ""
    with_mean = images.Network((9, 9, 3), (("conv", 4, 3, 1, 1, False), ("mean",), ("dense", 10)), 4, "adam")
    monkeypatch.setitem(images.NETWORKS, "tiny", with_mean)
    case = Case("inference", "predict", (9, 9, 3), 3, network="tiny")
    own, other = (peers.make_peer(name, 1).make(case) for name in ("nnfast", peer))
    assert rounds.difference(other.result(), own.result(), case) == ""


def test_networks_on_sequences_have_their_sizes():
    parameters = {name: sum(prod(shape) for _, shape in sequences.sizes(name).weights) for name in sequences.NETWORKS}
    assert parameters["lstm-128"] == 4 * 128 * (32 + 128 + 1) + 1290
    assert parameters["gru-128-two-layers"] == 3 * 128 * (32 + 128 + 2) + 3 * 128 * (128 + 128 + 2) + 1290
    assert parameters["gpt"] == (65 + 64) * 128 + 4 * (12 * 128**2 + 13 * 128) + 2 * 128 + 65 * 129
    assert parameters["minilm-64"] == (30522 + 64 + 2) * 384 + 2 * 384 + 6 * 1774464  # a layer of BERT of these widths
    assert parameters["embedding-10000"] == 640_000 + 650
    assert sequences.sizes("simple_rnn-32").flops == 100 * 2 * 32 * (32 + 32) + 2 * 320
    few, many = (next(case for case in CASES if case.network == f"embedding-{rows}") for rows in (10_000, 1_000_000))
    assert few.traffic == many.traffic, "rows that a batch does not name cost nothing"


@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_libraries_attend_alike(peer):
    pytest.importorskip(peer)
    case = Case("attention", "attention", (2, 9, 3, 8))
    own, other = (peers.make_peer(name, 1).make(case) for name in ("nnfast", peer))
    assert rounds.difference(other.result(), own.result(), case) == ""
    shifted = [own.result()[0] * 1.01, *own.result()[1:]]
    assert rounds.difference(shifted, own.result(), case)


def test_a_decoded_token_is_that_of_the_whole_text(monkeypatch):
    text = sequences.Decoder(2, 16, 4, 5, 11)
    monkeypatch.setitem(sequences.NETWORKS, "text", text)
    case = Case("inference", "decode", text.shape, 2, network="text")
    work = peers.make_peer("nnfast", 1).make(case)
    work.run(3)
    (found,) = work.result()
    whole = nnfast_sequences.model(case).predict(inputs.batch(case), verbose=0)[:, -1]
    assert found.tobytes() == np.ascontiguousarray(whole).tobytes()
    if not peers.missing("torch"):
        other = peers.make_peer("torch", 1).make(case)
        other.run(2)
        assert rounds.difference(other.result(), [found], case) == ""


SEQUENCES = {
    **{cell: sequences.Recurrent(cell, 8) for cell in sequences.GATES},
    "stacked": sequences.Recurrent("lstm", 6, layers=2),
    "both ways": sequences.Recurrent("gru", 6, layers=2, directions=2),
    "text": sequences.Decoder(2, 16, 4, 5, 11),
    "encoder": sequences.Encoder(2, 16, 4, 24, 5, 11),
    "table": sequences.Lookup(12, 8),
}


@pytest.mark.parametrize("network", SEQUENCES)
@pytest.mark.parametrize("peer", ["torch", "jax", "onnxruntime", "openvino"])
def test_libraries_build_the_same_network_on_sequences(peer, network, monkeypatch):
    pytest.importorskip(peer)
    monkeypatch.setitem(sequences.NETWORKS, network, SEQUENCES[network])
    shape = SEQUENCES[network].shape
    predicted = Case("inference", "predict", shape, 3, network=network)
    trained = Case("steps", "fit", shape, 4, "adam" if network == "table" else "adamw", network=network)
    for case in {"encoder": [predicted], "table": [trained]}.get(network, [predicted, trained]):
        own, other = (peers.make_peer(name, 1).make(case) for name in ("nnfast", peer))
        if other is not None:
            assert rounds.difference(other.result(), own.result(), case) == ""


def test_every_case_has_inputs():
    for case in CASES:
        if case.memory < 1e6 and not case.batch:
            first, second = inputs.operands(case), inputs.operands(case)
            assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_a_wrong_result_is_seen_and_not_timed(tmp_path):
    class Side:
        """A process that computes something; asking for its time fails."""

        def __init__(self, name, factor):
            self.name, self.factor = name, factor

        def ask(self, what, **details):
            if what == "result":
                np.savez(details["path"], self.factor * np.ones(3))
            if what == "time":
                assert self.name == "nnfast", "a wrong result was timed"
                return 1e-6
            return True

        def wait_until_quiet(self):
            pass

    found = limits.Limits("scalar", 1, 1e9, (limits.Level("memory", None, True, 1e9, 1e9),), 0, 0)
    line = rounds.measure(SMALL, Side("nnfast", 1), [Side("wrong", 1.001)], found, Effort(6, True, tmp_path))
    assert line.wrong and "differs from nnfast by up to 0.001" in line.notes["wrong"]
    assert line.ratios == {}


def test_interval_encloses_the_median():
    """Of many medians of noisy ratios, at least 95 % of the intervals hold the true one."""
    generator = np.random.default_rng(1)
    for count in (6, 7, 9, 15):
        held = 0
        for _ in range(2000):
            ratio = statistics.ratio([1.0] * count, list(2 * np.exp(generator.standard_normal(count))))
            assert ratio.low <= ratio.median <= ratio.high
            held += ratio.low <= 2 <= ratio.high
        assert held / 2000 > 0.94
    assert statistics.order(21) > 0, "with many rounds the interval is narrower than the range"


def test_a_library_against_itself():
    """The interval of the ratio holds 1: of three tries, since a machine may slow down one side for a while."""
    case = next(case for case in CASES if case.name == "x w 64x64x64")
    found = limits.Limits("scalar", 1, 1e9, (limits.Level("memory", None, True, 1e9, 1e9),), 0, 0)
    with Process("nnfast", 1) as own, Process("nnfast", 1) as same:
        tries = []
        for _ in range(3):
            from pathlib import Path
            from tempfile import TemporaryDirectory

            with TemporaryDirectory() as folder:
                line = rounds.measure(case, own, [same], found, Effort(9, True, Path(folder)))
            tries.append(line.ratios["nnfast"])
            if tries[-1].low <= 1 <= tries[-1].high:
                return
    pytest.fail(f"intervals without 1: {tries}")


def test_processes_report_errors_and_end():
    with Process("nnfast", 1) as process:
        assert process.ask("versions")["nnfast"]
        with pytest.raises(NnfastError, match="KeyError"):
            process.ask("make", case="no such case")
        assert process.ask("make", case=SMALL.name) is True
        process.wait_until_quiet()
    assert process._process.returncode == 0


def test_fewer_threads_bind_to_fewer_cores():
    script = command(["nnfast.benchmark.worker", "nnfast", "1"], threads=1)
    cores = limits.available_cores()
    assert (script[1] == "-c") == (cores > 1)


def test_memory_is_written_before_it_is_read(monkeypatch):
    """Pages that were never written may all be one page of zeros, which is read from a cache."""
    added = []
    add = limits._Team.add
    monkeypatch.setattr(
        limits._Team, "add", lambda team, kernel, *rest: added.append(kernel) or add(team, kernel, *rest)
    )
    limits.bandwidth(1 << 16, 1, "scalar")
    assert added == ["limit_update", "limit_read"]


def test_limits():
    measured = limits.measure(1, quick=True)
    assert limits.Limits.from_dict(json.loads(json.dumps(measured.as_dict()))) == measured
    assert measured.flops > 1e8
    assert all(level.read > 1e8 and level.update > 1e8 for level in measured.levels)
    assert [level.name for level in measured.levels][-1] == "memory"
    assert measured.level_of(1).name == measured.levels[0].name
    assert measured.level_of(1e15).name == "memory"


def test_roofline():
    """A product of many rows is limited by multiply-adds, one row by the memory that holds the weights."""
    levels = (limits.Level("L1", 32768, False, 200e9, 200e9), limits.Level("memory", None, True, 10e9, 10e9))
    machine = limits.Limits("scalar", 1, 100e9, levels, 0, 0)
    assert rounds.limit_of(Case("products", "x w", (512, 512, 512)), machine) == (2 * 512**3 / 100e9, "flops")
    seconds, bound = rounds.limit_of(Case("products", "x w", (1, 1024, 1024)), machine)
    assert bound == "memory" and seconds == pytest.approx(4 * 1024 * 1025 / 10e9, rel=0.01)
    assert rounds.limit_of(Case("elementwise", "relu", (2048,)), machine)[1] == "L1"


def test_timing_tells_slow_from_fast():
    times = timing.interleaved_medians({"fast": lambda: sum(range(100)), "slow": lambda: sum(range(10000))}, rounds=5)
    assert times["slow"] > 10 * times["fast"]
    assert [timing.format_seconds(t) for t in (1.5, 2e-3, 3e-6, 4.5e-8)] == ["1.5 s", "2 ms", "3 us", "45 ns"]


def test_sections():
    assert chosen([], quick=False) >= {"limits", "products", "threads", "footprint"}
    assert chosen(["kernels"], quick=False) == set(GROUPS) - {"steps", "inference"}
    assert chosen(["plain-products", "limits"], quick=True) == {"plain products", "limits"}
    with pytest.raises(UnknownNameError, match="products"):
        chosen(["product"], quick=True)


def line(case, group, **ratios):
    found = {name: statistics.Ratio(*values) for name, values in ratios.items()}
    return Line(case, group, 1e-6, 1e3, 1e3, "flops", 0.5, dict.fromkeys(found, 1e-6), found)


LINES = [
    line("x w 1x1x1", "products", numpy=(2.0, 1.9, 2.1), torch=(0.5, 0.4, 0.6)),
    line("x w 2x2x2", "products", numpy=(0.5, 0.4, 1.2)),
]


def test_summary_names_what_is_lost():
    assert table.means(LINES) == {"products": {"numpy": 1.0, "torch": 0.5, "best": 0.5}}
    text = "\n".join(table.summary(LINES))
    assert "1 of 3 comparisons lost" in text
    assert "against torch: 0.50" in text and "against numpy: 0.50" not in text
    rows = [table.row(found, ["numpy", "torch"]) for found in LINES[:1]]
    assert rows[0].endswith("0.50 (0.40-0.60) <") and "50% flops" in rows[0]


def report():
    machine = {"cpu": "A & B <CPU>", "threads": 2, "level": "avx2", "date": "2026-11-01"}
    return {
        "machine": machine,
        "versions": {"nnfast": "0.1", "numpy": "2"},
        "lines": [found.as_dict() for found in LINES],
    }


def test_chart(tmp_path):
    chart.write(report(), str(tmp_path / "a.svg"))
    root = xml.etree.ElementTree.parse(tmp_path / "a.svg").getroot()
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) == 3
    right = [float(circle.get("cx")) for circle in circles]
    assert right[0] > right[1] == right[2], "2 is right of 1/2, and equal ratios are in one place"
    with pytest.raises(SettingError, match=r"\.svg or \.png"):
        chart.write(report(), "a.pdf")
    with pytest.raises(SettingError, match="--against"):
        chart.write(report() | {"lines": []}, "a.svg")


def test_chart_png(tmp_path):
    pytest.importorskip("matplotlib")
    chart.write(report(), str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_missing_peer_is_named(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "absent", peers.Entry("absent", ("no_such_package",)))
    assert peers.missing("absent") == "no_such_package"
    with pytest.raises(SettingError, match=r"nnfast\[bench\]"):
        peers.make_peer("absent", 1)
    with pytest.raises(UnknownNameError, match="torch"):
        peers.missing("torhc")


def test_command(tmp_path, capsys):
    """One part of the table in JSON, a chart, and a peer that is not there."""
    path = tmp_path / "found.json"
    arguments = [
        "bench",
        "--quick",
        "--only",
        "rows",
        "--threads",
        "1",
        "--json",
        str(path),
        "--chart",
        str(tmp_path / "c.svg"),
    ]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "softmax 32x10" in text and "SIMD level" in text and "geometric mean" in text
    found = json.loads(path.read_text())
    assert {"cpu", "level", "threads", "cores"} <= set(found["machine"])
    assert {entry["group"] for entry in found["lines"]} == {"rows"}
    for entry in found["lines"]:
        assert entry["seconds"] > 0 and entry["fraction"] > 0
        assert entry["ratios"]["numpy"]["low"] <= entry["ratios"]["numpy"]["median"] <= entry["ratios"]["numpy"]["high"]
    assert (tmp_path / "c.svg").stat().st_size > 1000
    assert cli.main(["bench", "--rounds", "3"]) == 1
    assert "6 or more" in capsys.readouterr().err


def test_footprint_of_nnfast():
    done = subprocess.run(
        [sys.executable, "-m", "nnfast.benchmark.footprint", "nnfast", "1"], capture_output=True, text=True, check=True
    )
    facts = json.loads(done.stdout)
    assert 0 < facts["import_seconds"] < 5
    assert 1e5 < facts["compressed_bytes"] < facts["installed_bytes"] < 50e6
    assert facts["peak_bytes"] > 1e7 and shutil.which(sys.executable)
