"""The errors that nnfast raises, each also of the built-in type that a user would catch.

In: what a user passed wrongly. Out: a message that names the argument, the value given, what was expected and the way
out. `unknown_name` and `missing_extra` make the two messages that are needed in many places.
"""

from __future__ import annotations

from collections.abc import Iterable


class NnfastError(Exception):
    """Base class of every error that nnfast raises on purpose."""


class ShapeError(NnfastError, ValueError):
    """Shapes that do not fit each other or the layer."""


class DtypeError(NnfastError, TypeError):
    """A dtype or a kind of object that cannot be used."""


class UnknownNameError(NnfastError, ValueError):
    """A name that nothing is registered under."""


class NotCompiledError(NnfastError, RuntimeError):
    """A call that needs `model.compile(...)` first."""


class GraphError(NnfastError, RuntimeError):
    """A graph that is wrong, or a symbolic value used outside its trace."""


class DataError(NnfastError, ValueError):
    """Training data that cannot be used: empty, of different lengths, with NaN."""


class LabelError(DataError):
    """A class label outside the range that the model's output has."""


class ModelFileError(NnfastError, ValueError):
    """A model file that is damaged, foreign, of another version or for another model."""


class SettingError(NnfastError, ValueError):
    """An environment variable with a value that makes no sense."""


class MissingExtraError(NnfastError, ImportError):
    """An optional library is needed and not installed."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not known, with the nearest known name, to be raised by the caller.

    Args:
        kind: what the name is for, such as "activation".
        name: what the user gave.
        known: every name that would have worked.

    >>> print(unknown_name("activation", "rleu", ["relu", "tanh"]))
    unknown activation 'rleu': did you mean 'relu'? Known: relu, tanh
    """
    names = sorted(set(known))
    nearest = _nearest(str(name), names)
    hint = f"did you mean {nearest!r}? " if nearest is not None else ""
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names) or 'none'}")


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """The error for an optional library that is not installed, to be raised by the caller.

    >>> print(missing_extra("matplotlib", "viz"))
    this needs matplotlib, which is not installed: pip install "nnfast[viz]"
    """
    return MissingExtraError(
        f'this needs {package}, which is not installed: pip install "nnfast[{extra}]"', name=package
    )


def _nearest(name: str, known: list[str]) -> str | None:
    import difflib  # only needed where something has gone wrong

    by_lower_case = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None
