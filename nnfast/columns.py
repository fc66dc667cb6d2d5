"""Tables with columns of several kinds: what a network takes of them, and how it begins.

In: a dictionary of columns, or a structured (record) array. Out: arrays for fit and predict, and the inputs of a model with an embedding
for each column of categories beside the scaled numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnfast import layers, ops
from nnfast.errors import DataError
from nnfast.layers.embedding import check_count
from nnfast.typing import Config, Tensor

KINDS = ("number", "skewed", "category", "both")
NUMBERS = "numbers"  # name of the input that holds all columns of numbers
MOST_WIDTH = 50


class Columns:
    """What a network takes of a table, learned from the rows of a training.

    A column of numbers gets mean 0 and deviation 1, and what is missing (NaN) 0, the mean. A column of categories gets a number for each
    value, 0 for what the training did not have, and in a model an embedding. No data frames are needed: a dictionary from names to
    arrays, a structured array, or anything with `keys()` and columns by name serves.

    Args:
        kinds: for the columns that differ from the default: "number", "skewed" (a number whose logarithm log(1 + x) is taken), "category",
            "both" (a number, and a category too: for few different values), or None to leave one out. By default columns of strings and
            booleans are categories, the others numbers.
        embedding_width: numbers of an embedding; by default 1.6 * categories^0.56, at most 50 (a rule of fastai).
        rare: values that the training has fewer times than this count as not seen.

    >>> from nnfast import Input, Model, layers
    >>> table = {"age": np.array([20.0, 30.0, 40.0]), "job": np.array(["cook", "judge", "cook"])}
    >>> columns = Columns()
    >>> x = columns.fit_transform(table)
    >>> x["job"].tolist(), columns.transform({"age": [30.0], "job": ["pilot"]})["job"].tolist()
    ([1, 2, 1], [0])
    >>> inputs, joined = columns.model_inputs()
    >>> model = Model(inputs, layers.Dense(1)(joined))
    >>> model.predict(x, verbose=0).shape
    (3, 1)
    """

    def __init__(
        self, kinds: Mapping[str, str | None] | None = None, embedding_width: int | None = None, rare: int = 1
    ) -> None:
        self.kinds = dict(kinds or {})
        for name, kind in self.kinds.items():
            if kind is not None and kind not in KINDS:
                raise ValueError(f"Columns(kinds={{{name!r}: {kind!r}}}): expected one of {', '.join(KINDS)}, or None")
        self.embedding_width = (
            None if embedding_width is None else check_count("Columns", "embedding_width", embedding_width)
        )
        self.rare = check_count("Columns", "rare", rare)
        self.found: dict[str, str] | None = None  # kind of each column, after fit
        self.lookups: dict[str, layers.StringLookup] = {}
        self.moments: dict[str, tuple[float, float]] = {}  # mean and deviation

    def fit(self, table: Any) -> Columns:
        """Learn categories, means and deviations from the rows of a training; returns self.

        Raises DataError for a table without columns or rows, or with columns of different lengths.
        """
        columns = _columns(table)
        unknown = [name for name in self.kinds if name not in columns]
        if unknown:
            raise DataError(f"Columns: the table has no column {unknown[0]!r}; it has {', '.join(columns)}")
        self.found, self.lookups, self.moments = {}, {}, {}
        for name, values in columns.items():
            kind = self.kinds.get(name, "category" if values.dtype.kind in "USOb" else "number")
            if kind is None:
                continue
            self.found[name] = kind
            if kind in ("category", "both"):
                words, counts = np.unique(_words(values), return_counts=True)
                known = words[counts >= self.rare].tolist()
                self.lookups[name] = layers.StringLookup(vocabulary=known, name=f"{name}_lookup")
            if kind != "category":
                numbers = _numbers(name, values, kind)
                numbers = numbers[np.isfinite(numbers)]
                mean = float(ops.mean(numbers)) if numbers.size else 0.0
                deviation = float(ops.std(numbers)) if numbers.size else 0.0
                self.moments[name] = mean, deviation or 1.0
        return self

    def transform(self, table: Any) -> dict[str, Any]:
        """Arrays by the names of the model's inputs: "numbers" (rows, columns) float32, and for each category (rows,) int32.

        Raises DataError for a table that lacks a column, or before `fit`.
        """
        found, columns = self._found(), _columns(table)
        missing = [name for name in found if name not in columns]
        if missing:
            raise DataError(f"Columns: the table has no column {missing[0]!r}; it has {', '.join(columns)}")
        made = {name: lookup(_words(columns[name])) for name, lookup in self.lookups.items()}
        if self.moments:
            scaled = []
            for name, (mean, deviation) in self.moments.items():
                numbers = _numbers(name, columns[name], found[name])
                scaled.append(np.where(np.isfinite(numbers), (numbers - mean) / deviation, 0.0))
            made[NUMBERS] = np.stack(scaled, axis=1).astype(np.float32)
        return made

    def fit_transform(self, table: Any) -> dict[str, Any]:
        """`fit`, then `transform` of the same rows."""
        return self.fit(table).transform(table)

    @property
    def categories(self) -> dict[str, int]:
        """How many numbers each column of categories has, with the 0."""
        self._found()
        return {name: lookup.vocabulary_size() for name, lookup in self.lookups.items()}

    def width(self, name: str) -> int:
        """Numbers of a column's embedding."""
        if self.embedding_width is not None:
            return self.embedding_width
        return min(MOST_WIDTH, max(1, round(1.6 * self.categories[name] ** 0.56)))

    def model_inputs(self) -> tuple[list[Tensor], Tensor]:
        """The inputs of a model for what `transform` gives, and all columns joined, (batch, width): embeddings, then the numbers."""
        inputs, parts = [], []
        for name, count in self.categories.items():
            inputs.append(layers.Input((1,), dtype="int32", name=name))
            parts.append(
                layers.Flatten()(layers.Embedding(count, self.width(name), name=f"{name}_embedding")(inputs[-1]))
            )
        if self.moments:
            inputs.append(layers.Input((len(self.moments),), name=NUMBERS))
            parts.append(inputs[-1])
        return inputs, parts[0] if len(parts) == 1 else layers.Concatenate()(parts)

    def get_config(self) -> Config:
        """All that was learned, as JSON can hold it; `from_config` makes the same again."""
        words = {name: lookup.get_vocabulary(include_special_tokens=False) for name, lookup in self.lookups.items()}
        moments = {name: list(pair) for name, pair in self.moments.items()}
        learned = None if self.found is None else {"found": self.found, "vocabularies": words, "moments": moments}
        return {"kinds": self.kinds, "embedding_width": self.embedding_width, "rare": self.rare, "learned": learned}

    @classmethod
    def from_config(cls, config: Config) -> Columns:
        """The columns that `get_config` describes."""
        made = cls(config["kinds"], config["embedding_width"], config["rare"])
        learned = config["learned"]
        if learned is not None:
            made.found = dict(learned["found"])
            made.moments = {name: (pair[0], pair[1]) for name, pair in learned["moments"].items()}
            made.lookups = {
                name: layers.StringLookup(vocabulary=list(words), name=f"{name}_lookup")
                for name, words in learned["vocabularies"].items()
            }
        return made

    def _found(self) -> dict[str, str]:
        if self.found is None:
            raise DataError("Columns: nothing is known of the table yet; call fit(table) with the rows of the training")
        return self.found


def _columns(table: Any) -> dict[str, Any]:
    """Name -> array (rows,)."""
    if isinstance(table, np.ndarray) and table.dtype.names:
        found = {name: table[name] for name in table.dtype.names}
    elif hasattr(table, "keys") and hasattr(table, "__getitem__"):
        found = {str(name): np.asarray(table[name]) for name in table.keys()}  # noqa: SIM118  (data frames iterate otherwise)
    else:
        raise DataError(f"Columns: expected a dictionary of columns or a structured array, got {type(table).__name__}")
    lengths = {name: values.shape for name, values in found.items()}
    if not found or any(len(shape) != 1 for shape in lengths.values()) or len(set(lengths.values())) > 1:
        raise DataError(f"Columns: expected columns of the same number of rows each, got shapes {lengths}")
    if NUMBERS in found:
        raise DataError(f"Columns: a column is called {NUMBERS!r}, as the model's input of all numbers is; rename it")
    if not next(iter(lengths.values()))[0]:
        raise DataError("Columns: the table has no rows")
    return found


def _words(values: Any) -> Any:
    """Values as strings; those of whole numbers are written alike whatever their type."""
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)
        return np.where(whole, np.where(whole, values, 0).astype(np.int64).astype(np.str_), values.astype(np.str_))
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values.astype(np.str_)


def _numbers(name: str, values: Any, kind: str) -> Any:
    """Values in float64; the logarithm of 1 + x for a skewed column."""
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Columns: column {name!r} holds no numbers ({error}); give kinds={{{name!r}: 'category'}}"
        ) from error
    if kind != "skewed":
        return numbers
    if (numbers <= -1).any():
        raise DataError(f"Columns: column {name!r} is 'skewed', but has {numbers.min():g}; expected numbers above -1")
    return np.asarray(ops.log1p(numbers))
