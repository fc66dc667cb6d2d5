"""The command line: `nnfast demo`, `info`, `doctor`, `selftest`, `numerics`, `verify` and `bench`; the same as `python -m nnfast`.

In: arguments. Out: text, or JSON where numbers come out, and 0 where all went well. One file per command.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from nnfast._version import __version__
from nnfast.errors import NnfastError

# What `nnfast demo` takes, and the module whose run(epochs, seed, output, as_json) shows it, where demo.py does not.
DEMOS = {
    "digits": None,
    "mnist": None,
    "mnist-cnn": "mnist_cnn",
    "spoken-digits": "spoken_digits",
    "steering": "steering",
    "pneumonia": "pneumonia",
    "income": "income",
    "spam": "spam",
    "turbofan": "turbofan",
    "shakespeare": None,  # counts steps, not epochs
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 where something failed, 2 for wrong arguments, 130 after Ctrl-C, 141
    where the reader of a pipe has gone."""
    options = make_parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except NnfastError as error:
        print(f"nnfast: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("nnfast: stopped", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run` to what carries it out."""
    parser = argparse.ArgumentParser(prog="nnfast", description="Neural networks on multicore CPUs.")
    parser.add_argument("--version", action="version", version=f"nnfast {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="train a network on real data and compare it with NumPy")
    demo.add_argument(
        "data",
        nargs="?",
        choices=DEMOS,
        default="digits",
        help="digits (carried in the package), mnist, mnist-cnn, spoken-digits (sound), steering (frames of a camera), pneumonia (X-rays), "
        "income (a table), shakespeare (a GPT that writes text), spam, or turbofan (series)",
    )
    demo.add_argument(
        "--epochs", type=_positive, help="passes over the training data (default: 10 to 40, as the data need)"
    )
    demo.add_argument("--steps", type=_positive, help="training steps (shakespeare: 2000)")
    demo.add_argument("--seed", type=_natural, default=0, help="seed of weights, dropout and order (default: 0)")
    demo.add_argument(
        "--output", default="nnfast-demo", help="folder for the model and the plot (default: nnfast-demo)"
    )
    _add_json(demo)
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", help="version, SIMD levels, threads and OpenMP, and why they are what they are")
    _add_json(info)
    info.set_defaults(run=_info)

    selftest = commands.add_parser("selftest", help="check every kernel of every available SIMD level against NumPy")
    _add_json(selftest)
    selftest.set_defaults(run=_selftest)

    doctor = commands.add_parser("doctor", help="what slows nnfast down on this machine, and what to do about it")
    _add_json(doctor)
    doctor.set_defaults(run=_doctor)
    verify = commands.add_parser("verify", help="train again as a receipt says, and compare every epoch")
    verify.add_argument("receipt", help="the file that fit(..., receipt=FILE) made")
    verify.add_argument("data", help="a .npz file with the arrays x, y (and sample_weight, x_val, y_val, ...)")
    _add_json(verify)
    verify.set_defaults(run=_verify)

    numerics = commands.add_parser("numerics", help="worst error of each elementwise function, as measured or anew")
    how_many = numerics.add_mutually_exclusive_group()
    how_many.add_argument("--sample", action="store_true", help="measure: every 255th float32, seconds")
    how_many.add_argument(
        "--all", action="store_true", help="measure: all 2^32 float32, about a minute for each function"
    )
    numerics.add_argument("--only", type=_names, default=[], metavar="NAMES", help="functions, separated by commas")
    numerics.add_argument("--levels", type=_names, default=[], metavar="NAMES", help="SIMD levels to compare")
    numerics.add_argument("--threads", type=_positive, help="threads that measure (default: those of nnfast)")
    numerics.add_argument("--write", metavar="FILE", help="add what was measured to this JSON file")
    _add_json(numerics)
    numerics.set_defaults(run=_numerics)

    bench = commands.add_parser(
        "bench", help="time kernels and networks, beside the machine's limits and other libraries"
    )
    bench.add_argument(
        "--against",
        type=_names,
        default=["numpy"],
        metavar="NAMES",
        help="libraries, separated by commas: numpy (the default), torch, torch-compile, jax, sklearn, onnxruntime, openvino, nnfast",
    )
    bench.add_argument(
        "--only", type=_names, default=[], metavar="NAMES", help="parts of the table: limits, kernels, steps, ..."
    )
    bench.add_argument("--quick", action="store_true", help="a few cases, in seconds")
    bench.add_argument("--threads", type=_positive, help="threads of every side (default: those of nnfast)")
    bench.add_argument("--rounds", type=_positive, help="samples of each side and case (default: 7, with --quick 6)")
    bench.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write what was found as JSON (-, or no file: print it)"
    )
    bench.add_argument("--chart", metavar="FILE", help="draw the ratios: .svg, or .png with matplotlib")
    bench.set_defaults(run=_bench)
    return parser


def _demo(options: argparse.Namespace) -> int:
    if options.data == "shakespeare":
        from nnfast.cli import shakespeare

        return shakespeare.run(options.steps, options.seed, options.output, options.json)
    module = DEMOS[options.data]
    if module is not None:
        from importlib import import_module

        found = import_module(f"nnfast.cli.{module}")
        return int(found.run(options.epochs, options.seed, options.output, options.json))
    from nnfast.cli.demo import run

    return run(options.data, options.epochs, options.seed, options.output, options.json)


def _info(options: argparse.Namespace) -> int:
    from nnfast.cli.info import run

    return run(options.json)


def _selftest(options: argparse.Namespace) -> int:
    from nnfast.cli.selftest import run

    return run(options.json)


def _doctor(options: argparse.Namespace) -> int:
    from nnfast.cli.doctor import run

    return run(options.json)


def _verify(options: argparse.Namespace) -> int:
    from nnfast.cli.verify import run

    return run(options.receipt, options.data, options.json)


def _numerics(options: argparse.Namespace) -> int:
    from nnfast.cli.numerics import run
    from nnfast.precision.measure import SAMPLE_STRIDE

    stride = 1 if options.all else SAMPLE_STRIDE if options.sample else None
    return run(options.only, stride, options.levels, options.threads, options.write, options.json)


def _bench(options: argparse.Namespace) -> int:
    from nnfast.benchmark.run import Options, run

    fields = ("against", "only", "quick", "threads", "rounds", "json", "chart")
    return run(Options(**{name: getattr(options, name) for name in fields}))


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of text")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return int(text)
