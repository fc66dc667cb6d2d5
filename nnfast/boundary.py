"""Where users' calls come in: what Python or NumPy say about a wrong argument is said with the call and its arguments.

In: the public modules. Out: nothing; their functions and the constructors of their classes pass errors on in the same type, with
`name(argument=value, ...): ` before a message that names none of them. Errors from a user's own code stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import unwrap
from types import FunctionType, ModuleType, TracebackType
from typing import Any

import numpy as np

from nnfast.errors import DataError, NnfastError

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(np.__file__) + os.sep
_PYTHON = os.path.dirname(os.__file__) + os.sep
# What a wrong argument causes, most special first: errors of NumPy's own classes become the built-in one that they are of.
_CAUSED = (
    TypeError, MemoryError, RecursionError, OverflowError, ZeroDivisionError, IndexError, KeyError, AttributeError, AssertionError,
    UnicodeError, ValueError, StopIteration,
)  # fmt: skip
_BECOMES: dict[type[Exception], type[Exception]] = {
    **dict.fromkeys((RecursionError, OverflowError, ZeroDivisionError, IndexError, KeyError, UnicodeError), ValueError),
    **dict.fromkeys((AttributeError, AssertionError, StopIteration), TypeError),
}
UNFOLDED_BYTES = 1 << 30
_ROWS = frozenset(("x", "y", "sample_weight"))


def guard(modules: Iterable[ModuleType]) -> None:
    """Let the public functions and classes of these modules name themselves in errors."""
    for module in modules:
        for name in list(getattr(module, "__all__", None) or vars(module)):
            item: Any = getattr(module, name)
            if name.startswith("_") or not str(getattr(item, "__module__", "")).startswith("nnfast"):
                continue
            if isinstance(item, FunctionType) and not hasattr(item, "_nnfast_named"):
                found = named(item, name)
                found.__module__, found.__qualname__ = module.__name__, name  # where pickle finds it
                setattr(module, name, found)
            elif isinstance(item, type) and not issubclass(item, BaseException):
                init = unwrap(item.__init__)
                if isinstance(init, FunctionType) and not hasattr(vars(item).get("__init__"), "_nnfast_named"):
                    type.__setattr__(item, "__init__", named(init, name, of=item))


def guard_methods(owner: type, names: Iterable[str]) -> None:
    """The same for methods, which look at their arrays themselves."""
    for name in names:
        type.__setattr__(owner, name, named(vars(owner)[name], name, looks=False))


def names_itself(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that is called so often that its errors name it by themselves."""
    function._nnfast_named = True  # type: ignore[attr-defined]
    return function


def refuse_unfolded(array: np.ndarray[Any, Any], name: str) -> None:
    """Raise DataError for an array of gigabytes whose elements are a few, repeated by strides of 0: it is about to be copied.

    >>> refuse_unfolded(np.broadcast_to(np.float32(0), (2**20, 2**20)), "x")
    Traceback (most recent call last):
    nnfast.errors.DataError: x: an array of shape (1048576, 1048576) that repeats few elements (np.broadcast_to); its copy would take 4,398 GB. Give the elements alone, or fewer rows
    """
    if array.nbytes < UNFOLDED_BYTES or 0 not in array.strides:
        return
    stored = array.itemsize
    for extent, stride in zip(array.shape, array.strides, strict=True):
        stored *= extent if stride else 1
    if stored < array.nbytes // 16:
        raise DataError(
            f"{name}: an array of shape {array.shape} that repeats few elements (np.broadcast_to); its copy would take "
            f"{array.nbytes / 1e9:,.0f} GB. Give the elements alone, or fewer rows"
        )


def named(function: Callable[..., Any], name: str, of: type | None = None, looks: bool = True) -> Callable[..., Any]:
    """The function, or constructor of the class `of`, as users call it: the outermost such call is the one that errors name.

    looks: refuse arrays that must not be unfolded; constructors take rows of x, y and weights from where they lie.
    """
    taken = frozenset() if of is None else _ROWS

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if looks:
            _look(function, name, taken, arguments, options)
        try:
            return function(*arguments, **options)
        except (*_CAUSED, NnfastError) as error:
            if of is not None and type(arguments[0]) is not of:
                raise  # a class made of this one
            better = _better(error, function, name, arguments, options)
            if better is error:
                raise
            raise better from None

    return names_itself(call)


def _look(
    function: Callable[..., Any], name: str, taken: frozenset[str], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    for i, value in enumerate(arguments):
        if type(value) is np.ndarray and value.nbytes >= UNFOLDED_BYTES:
            parameter = [*_parameters(function), *["..."] * len(arguments)][i]
            if parameter not in taken:
                refuse_unfolded(value, f"{name}({parameter})")
    for key, value in options.items():
        if type(value) is np.ndarray and value.nbytes >= UNFOLDED_BYTES and key not in taken:
            refuse_unfolded(value, f"{name}({key})")


def _parameters(function: Callable[..., Any]) -> list[str]:
    code = unwrap(function).__code__
    return list(code.co_varnames[: code.co_argcount])


def _better(
    error: Exception, function: Callable[..., Any], name: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Exception:
    code = unwrap(function).__code__
    parameters = _parameters(function)
    given = dict(zip(parameters, arguments, strict=False)) | options
    rest = arguments[len(parameters) :]
    inner = getattr(error, "_nnfast_message", None)  # what it was before a call inside this one was named
    message = str(error) if inner is None else inner
    names = {name, *given, *code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]} - {"self"}
    if name == "call" and isinstance(given.get("name"), str):
        names.add(given["name"])  # that of the op
    says = inner is None and any(re.search(rf"\b{re.escape(word)}\b", message) for word in names)
    ours = isinstance(error, NnfastError)
    if (says and (ours or type(error) in (TypeError, ValueError, MemoryError))) or not _of_a_library(
        error.__traceback__
    ):
        return error
    shown = [f"{key}={_brief(value)}" for key, value in given.items() if key != "self"] + [
        _brief(value) for value in rest
    ]
    text = f"{name}({', '.join(shown)}): {message or type(error).__name__}"
    better = error
    if not ours:
        kind = next(kind for kind in _CAUSED if isinstance(error, kind))
        better = _BECOMES.get(kind, kind)(text)
    elif len(error.args) == 1:
        error.args = (text,)
    better._nnfast_message = message  # type: ignore[attr-defined]
    return better


def _of_a_library(traceback: TracebackType | None) -> bool:
    """Is every frame after the call's own one of nnfast, NumPy or Python?"""
    traceback = traceback and traceback.tb_next
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        pythons = file.startswith(_PYTHON) and "site-packages" not in file
        if not (pythons or file.startswith((_OWN, _NUMPY, "nnfast/_core/", "<frozen "))):
            return False
        traceback = traceback.tb_next
    return True


def _brief(value: Any) -> str:
    """A value in a few words, whatever its size.

    >>> _brief(np.zeros((2, 3))), _brief("a" * 100)
    ('<float64 array of shape (2, 3)>', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'")
    """
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} array of shape {value.shape}>" if value.dtype.names is None else "<array of records>"
    if isinstance(value, str | bytes) and len(value) > 40:
        return repr(value[:34])[:-1] + "..." + repr(value[:1])[-1]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    if (
        isinstance(value, list | tuple)
        and len(value) <= 6
        and all(isinstance(item, int | float | str) for item in value)
    ):
        return repr(value)
    return f"<{type(value).__name__}>"
