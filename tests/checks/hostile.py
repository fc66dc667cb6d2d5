"""Calls of every public function with arguments that nobody should give. A process of its own computes them: python -m checks.hostile
FIRST LAST CALLS SEED. Out: a line of JSON before and after each call, so that one that ends the process is known."""

import inspect
import json
import os
import random
import re
import resource
import signal
import socket
import sys
import tempfile
import traceback
import types
import warnings

import numpy as np

MEMORY, SECONDS = 4 << 30, 10  # of a call; processor time


def functions():
    """(name, function) of all that is public: found, not listed."""
    import nnfast

    modules = [
        nnfast,
        *(
            item
            for name, item in sorted(vars(nnfast).items())
            if isinstance(item, types.ModuleType) and name in nnfast.__all__
        ),
    ]
    found = {}
    for module in modules:
        for name in sorted(getattr(module, "__all__", None) or dir(module)):
            item = getattr(module, name)
            own = str(getattr(item, "__module__", "")).startswith("nnfast")
            if callable(item) and own and not name.startswith("_") and name not in EXCEPT:
                found.setdefault(id(item), (f"{module.__name__}.{name}", item))
    return [*found.values(), *methods()]


# They print, compute for minutes, or make the errors; Mask is an array of NumPy, made by NumPy.
EXCEPT = {"show_config", "numerics", "unknown_name", "missing_extra", "Mask"}


def methods():
    """The methods of a compiled model."""
    import nnfast

    model = nnfast.Sequential([nnfast.Input((4,)), nnfast.layers.Dense(3)])
    model.compile("sgd", "mse")
    names = (
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "test_on_batch",
        "predict_on_batch",
        "set_weights",
        "compile",
        "save",
        "load_weights",
    )
    return [(f"nnfast.Model.{name}", getattr(model, name)) for name in names if hasattr(model, name)]


class Odd:
    pass


def values():
    """What the arguments are: name to value."""
    rng = np.random.default_rng(0)

    def array(*shape):
        return rng.standard_normal(shape).astype("float32")

    read_only = array(3, 4)
    read_only.flags.writeable = False
    return {
        "None": None, "text": "no such thing", "bytes": b"x", "object": Odd(), "minus": -1, "zero": 0, "huge": 2**63, "half": 0.5,
        "nan": float("nan"), "infinity": float("inf"), "true": True, "complex": 1j, "empty list": [], "list": [1, 2, 3],
        "ragged": [[1, 2], [3]], "dict": {"a": 1}, "tuple": (2, -3), "set": {1}, "function": len, "class": int, "range": range(5),
        "slice": slice(3), "array": array(3, 4), "vector": array(5), "ints": np.arange(6).reshape(2, 3), "empty": array(0, 4),
        "number": np.float32(2), "rank 0": np.array(1.5), "rank 8": array(*[1] * 8), "rank 20": array(*[1] * 20),
        "objects": np.array([None, "a"], object), "texts": np.array(["a", "b"]), "dates": np.array(["2020-01-01"], "datetime64[D]"),
        "records": np.zeros(2, [("a", "f4")]), "complexes": np.ones((2, 2), complex), "swapped": array(3, 4).astype(">f4"),
        "halves": array(3, 4).astype("float16"), "booleans": np.ones((2, 3), bool), "nans": np.full((3, 4), np.nan, "float32"),
        "infinities": np.full((3, 4), np.inf), "denormals": np.full((3, 4), 1e-42, "float32"), "strided": array(6, 8)[::2, ::2],
        "reversed": array(3, 4)[::-1], "read only": read_only, "transposed": array(4, 3).T,
        "unaligned": np.frombuffer(bytes(49), np.uint8)[1:].view("float32"), "wide": np.broadcast_to(np.float32(1), (2, 2**33)),
        "broadcast": np.broadcast_to(np.float32(1), (2**16, 2**17)), "huge ints": np.broadcast_to(np.int64(3), (2**34,)),
        "unsigned": np.array([2**64 - 1], np.uint64), "matrix": np.asmatrix(np.ones((2, 2))), "shape": (2**40, 2**40),
    }  # fmt: skip


# They ask for that much, or are numbers; all others are arrays that exist, in a few bytes.
LARGE_ON_PURPOSE = {"huge", "shape", "infinity"}


def problem(name, used, parameters, kind, message="", place=""):
    """What is wrong with an outcome, or None."""
    if kind in (
        "ok",
        "OSError",
        "FileNotFoundError",
        "IsADirectoryError",
        "PermissionError",
        "MaskError",
        "DatasetError",
    ):
        return None  # errors of files name the file
    if kind == "too long":
        return "more than 10 s of computing"
    if kind == "MemoryError" and not any(item.split("=")[1] in LARGE_ON_PURPOSE for item in used):
        return f"a copy of gigabytes: {message}"
    words = [name.rsplit(".", 1)[1], "model", "layer", "y_true", *parameters]
    if not any(re.search(rf"\b{re.escape(word)}\b", message) for word in words):
        return f"names neither the call nor an argument: {kind}: {message}\n{place}"
    if kind in (
        "AttributeError",
        "IndexError",
        "KeyError",
        "AssertionError",
        "ZeroDivisionError",
        "RecursionError",
        "NameError",
        "SystemError",
    ):
        return f"not an error about an argument: {kind}: {message}\n{place}"
    return None


class TooLong(BaseException):
    pass


def _too_long(*_):
    raise TooLong


def _say(*what):
    os.write(3, json.dumps(what).encode() + b"\n")


def call_all(name, function, calls, seed):
    """So many calls: the first ones with the same value in each place, then with different ones; some optional arguments too."""
    known = values()
    rng = random.Random(f"{name} {seed}")
    keys = list(known)
    choices = [[key] * 32 for key in rng.sample(keys, min(calls, len(keys)))] + [
        rng.choices(keys, k=32) for _ in range(calls // 4)
    ]
    try:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
    except (TypeError, ValueError):
        parameters = []
    done = set()
    for chosen in choices:
        arguments, options, used = [], {}, []
        variable = any(p.kind == p.VAR_POSITIONAL for p in parameters)
        for parameter, key in zip(parameters, chosen, strict=False):
            optional = parameter.default is not parameter.empty or parameter.kind == parameter.KEYWORD_ONLY
            if parameter.kind == parameter.VAR_POSITIONAL:
                more = chosen[-rng.randint(1, 3) :]
                arguments += [known[other] for other in more]
                used += [f"{parameter.name}={other}" for other in more]
                continue
            if not optional:
                arguments.append(known[key])
            elif (variable and parameter.kind != parameter.KEYWORD_ONLY) or rng.random() > 0.2:
                continue
            else:
                options[parameter.name] = known[key]
            used.append(f"{parameter.name}={key}")
        if tuple(used) in done:
            continue  # where nothing needs an argument
        done.add(tuple(used))
        _say("begin", name, used)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            function(*arguments, **options)
            found = ["ok"]
        except TooLong:
            found = ["too long"]
        except Exception as error:
            found = [type(error).__name__, str(error), "".join(traceback.format_tb(error.__traceback__)[-1:])]
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say("end", name, used, [p.name for p in parameters], *found)


if __name__ == "__main__":
    first, last, calls, seed = map(int, sys.argv[1:])
    warnings.simplefilter("ignore")
    os.dup2(1, 3)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _too_long)
    os.chdir(tempfile.mkdtemp())
    os.environ["NNFAST_DATA"] = os.environ["XDG_CACHE_HOME"] = os.getcwd()  # no data sets, no downloads

    def no_network(*_, **__):
        raise OSError("no network")

    socket.getaddrinfo = no_network
    for name, function in functions()[first:last]:
        call_all(name, function, calls, seed)
