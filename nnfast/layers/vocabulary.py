"""Numbers for words and back: StringLookup, IntegerLookup and TextVectorization, which learn a vocabulary with `adapt`.

On arrays: text is prepared before it goes into a model.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nnfast import exact, ops, serialization
from nnfast.errors import DataError
from nnfast.layers.base import Layer
from nnfast.layers.categories import MODES, array_of, check_mode, encoded, hashed
from nnfast.layers.embedding import check_count
from nnfast.typing import Config

PUNCTUATION = re.compile("[" + re.escape(string.punctuation) + "]")


class _Lookup(Layer):
    """A vocabulary: first the mask's token, if there is one, then those for what is unknown, then the words by their number of occurrences."""

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: Any = None,
        oov_token: Any = None,
        vocabulary: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        idf_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.max_tokens = None if max_tokens is None else check_count(owner, "max_tokens", max_tokens)
        if num_oov_indices < 0 or (invert and num_oov_indices > 1):
            raise ValueError(f"{owner}(num_oov_indices={num_oov_indices}): expected 0 or more, at most 1 with invert")
        self.num_oov_indices = int(num_oov_indices)
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = bool(invert)
        self.output_mode = check_mode(owner, output_mode, (*MODES, "tf_idf"))
        if invert and output_mode != "int":
            raise ValueError(
                f"{owner}(invert=True, output_mode={output_mode!r}): the way back starts from numbers: 'int'"
            )
        self._words: list[Any] | None = None
        self._idf: list[float] = []  # for each word, with output_mode "tf_idf"
        self._table: tuple[list[Any] | None, dict[Any, int]] | None = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        elif idf_weights is not None:
            raise ValueError(f"{owner}(idf_weights=...): they belong to a vocabulary; give it too, or use adapt")

    @property
    def _special(self) -> list[Any]:
        return ([] if self.mask_token is None else [self.mask_token]) + [self.oov_token] * self.num_oov_indices

    def adapt(self, data: Any) -> None:
        """Learn the vocabulary: the most frequent words of an array, or of an iterable of arrays; of equal ones the last in order first,
        as in Keras. At most max_tokens with the special ones. With output_mode "tf_idf" a row is a document."""
        several = not isinstance(data, np.ndarray | list | tuple)
        parts = (array_of(self, part) for part in (data if several else [data]))
        self._learn(row if isinstance(row, list) else [row] for part in parts for row in part.tolist())

    def _learn(self, documents: Iterable[Any]) -> None:
        """The vocabulary from lists of words."""
        counts: Counter[Any] = Counter()
        within: Counter[Any] = Counter()
        total = 0
        for document in documents:
            words = np.asarray(document).ravel().tolist() if document and isinstance(document[0], list) else document
            counts.update(words)
            if self.output_mode == "tf_idf":
                within.update(set(words))
            total += 1
        for token in self._special:
            counts.pop(token, None)
        ranked = [word for word, _ in sorted(counts.items(), key=lambda item: (item[1], item[0]), reverse=True)]
        self._words = ranked if self.max_tokens is None else ranked[: max(self.max_tokens - len(self._special), 0)]
        if self.output_mode == "tf_idf":
            # log(1 + documents / (1 + documents with the word)), as Keras has it
            self._idf = [exact.log(1 + total / (1 + within[word])) for word in self._words]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take these words, with or without the special tokens in front; with output_mode "tf_idf" also a weight for each word."""
        words = np.asarray(vocabulary).tolist() if not isinstance(vocabulary, list) else list(vocabulary)
        special = self._special
        if special and words[: len(special)] == special:
            words = words[len(special) :]
        if len(set(words)) != len(words) or any(token in special for token in words):
            raise ValueError(
                f"{type(self).__name__}: the vocabulary names a word twice, or a special token among the words"
            )
        weights = [] if idf_weights is None else [float(weight) for weight in idf_weights]
        if (self.output_mode == "tf_idf") != (idf_weights is not None) or len(weights) not in (0, len(words)):
            raise ValueError(
                f"{type(self).__name__}(output_mode={self.output_mode!r}): {len(weights)} idf_weights for {len(words)} words; 'tf_idf' takes "
                "one for each word besides the special tokens, the other modes none"
            )
        self._words, self._idf = words, weights

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The words by number."""
        words = list(self._words or [])
        return [*self._special, *words] if include_special_tokens else words

    def vocabulary_size(self) -> int:
        """Number of numbers."""
        return len(self.get_vocabulary())

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().__call__(array_of(self, inputs), training, mask)

    def call(self, inputs: Any) -> Any:
        if self._words is None:
            raise DataError(f"{self.name}: no vocabulary yet; call adapt(data) first, or give vocabulary=[...]")
        vocabulary = self.get_vocabulary()
        if self.invert:
            known = inputs >= 0
            words = np.array([*vocabulary, self.oov_token])
            return words[np.where(known & (inputs < len(vocabulary)), inputs, len(vocabulary))]
        numbers = self._numbers(inputs.ravel().tolist()).reshape(inputs.shape)
        return self._encoded(numbers, len(vocabulary))

    def _encoded(self, numbers: np.ndarray, count: int) -> Any:
        """As the output mode says; "tf_idf" multiplies counts by the words' weights, the mean weight for what is unknown."""
        if self.output_mode != "tf_idf":
            return encoded(numbers, count, self.output_mode, self.dtype)
        mean = math.fsum(self._idf) / max(len(self._idf), 1)  # fsum: rounded once, the same everywhere
        masked = [] if self.mask_token is None else [0.0]
        weights = [*masked, *[mean] * (count - len(self._idf) - len(masked)), *self._idf]
        return ops.multiply(encoded(numbers, count, "count", self.dtype), np.asarray(weights, self.dtype))

    def _numbers(self, words: list[Any]) -> np.ndarray:
        known, masked = self._known(), self.mask_token is not None
        found = [known.get(word, -1) for word in words]
        for i, number in enumerate(found):
            if number < 0:
                found[i] = self._unknown(words[i], int(masked))
        return np.array(found, np.int32)

    def _known(self) -> dict[Any, int]:
        """The number of each word; made once for a vocabulary."""
        if self._table is None or self._table[0] is not self._words:
            first = len(self._special)
            numbers = {word: first + i for i, word in enumerate(self._words or [])}
            if self.mask_token is not None:
                numbers[self.mask_token] = 0
            self._table = self._words, numbers
        return self._table[1]

    def _unknown(self, word: Any, first: int) -> int:
        if self.num_oov_indices == 0:
            raise DataError(
                f"{self.name}: {word!r} is not in the vocabulary, and num_oov_indices=0 leaves no number for it"
            )
        return first + (hashed(word, self.num_oov_indices, 0) if self.num_oov_indices > 1 else 0)

    def get_config(self) -> Config:
        own = {"max_tokens": self.max_tokens, "num_oov_indices": self.num_oov_indices, "mask_token": self.mask_token}
        own |= {"oov_token": self.oov_token, "vocabulary": self._words, "invert": self.invert}
        if self.output_mode == "tf_idf":
            own["idf_weights"] = None if self._words is None else self._idf
        return {**super().get_config(), **own, "output_mode": self.output_mode}


@serialization.register("layer")
class StringLookup(_Lookup):
    """The number of each string in a vocabulary, or with invert the string of each number.

    In: an array of strings; out int32 of the same shape, or as CategoryEncoding makes of it. Numbers: the mask's token, if given, is
    0; then num_oov_indices for what is unknown; then the words. Equal to Keras' StringLookup.
    output_mode "tf_idf": counts times log(1 + documents / (1 + documents with the word)), of rows; from `adapt`, or as idf_weights.

    >>> layer = StringLookup(vocabulary=["a", "b"])
    >>> layer(["b", "z"]).tolist(), layer.get_vocabulary()
    ([2, 0], ['[UNK]', 'a', 'b'])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        idf_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, invert, output_mode, idf_weights, **kwargs
        )


@serialization.register("layer")
class IntegerLookup(_Lookup):
    """The number of each whole number in a vocabulary, or with invert the way back. Arguments as StringLookup.

    >>> IntegerLookup(vocabulary=[10, 30])([30, 5]).tolist()
    [2, 0]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        idf_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, invert, output_mode, idf_weights, **kwargs
        )


@serialization.register("layer")
class TextVectorization(_Lookup):
    """Numbers of a text's words (or characters): standardise, split, look up.

    In: an array (texts,) of strings; out int32 (texts, length), 0 behind the end of a text and 1 for what is unknown; or with another
    output_mode (texts, vocabulary). Names as in Keras.

    Args:
        max_tokens: words of the vocabulary at most, with "" and "[UNK]".
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of a string.
        split: "whitespace", "character", None, or a function of a string that gives words.
        ngrams: also runs of 2 to so many words.
        output_mode: "int", "multi_hot", "count", or "tf_idf": counts times log(1 + texts / (1 + texts with the word)), which is less for
            words that stand everywhere; what is unknown takes the mean of that (Sparck Jones 1972).
        output_sequence_length: cut and fill to this length; by default that of the longest text.
        vocabulary: words, in place of `adapt`; idf_weights: the factor of each, with "tf_idf".
        hash_bins: number words by a hash, without a vocabulary: 0 is padding, 1 to hash_bins the words.

    >>> layer = TextVectorization(vocabulary=["a", "cat"])
    >>> layer(["A cat!", "dog"]).tolist()
    [[2, 3], [1, 0]]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[str], str] | None = "lower_and_strip_punctuation",
        split: str | Callable[[str], Iterable[str]] | None = "whitespace",
        ngrams: int | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        vocabulary: Any = None,
        hash_bins: int | None = None,
        idf_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        check_mode("TextVectorization", output_mode, ("int", "multi_hot", "count", "tf_idf"))
        if hash_bins is not None and output_mode == "tf_idf":
            raise ValueError(
                "TextVectorization(hash_bins=..., output_mode='tf_idf'): hashes are not counted; use 'count'"
            )
        if not callable(standardize) and standardize not in (
            None,
            "lower",
            "strip_punctuation",
            "lower_and_strip_punctuation",
        ):
            raise ValueError(
                f"TextVectorization(standardize={standardize!r}): expected lower_and_strip_punctuation, lower, strip_punctuation, None or a function"
            )
        if not callable(split) and split not in (None, "whitespace", "character"):
            raise ValueError(f"TextVectorization(split={split!r}): expected whitespace, character, None or a function")
        super().__init__(max_tokens, 1, "", "[UNK]", vocabulary, False, output_mode, idf_weights, **kwargs)
        self.standardize = standardize
        self.split = split
        self.ngrams = ngrams
        self.output_sequence_length = output_sequence_length
        self.hash_bins = None if hash_bins is None else check_count("TextVectorization", "hash_bins", hash_bins)
        if self.hash_bins is not None:
            self._words = []

    def adapt(self, data: Any) -> None:
        """Learn the vocabulary of texts: an array, a list, or an iterable of either."""
        several = not isinstance(data, np.ndarray | list | tuple)
        parts = (array_of(self, part).ravel().tolist() for part in (data if several else [data]))
        self._learn(self.words(text) for part in parts for text in part)

    def words(self, text: str) -> list[str]:
        """The words of one text."""
        if callable(self.standardize):
            text = self.standardize(text)
        elif self.standardize is not None:
            text = text.lower() if "lower" in self.standardize else text
            text = PUNCTUATION.sub("", text) if "strip" in self.standardize else text
        if callable(self.split):
            words = list(self.split(text))
        else:
            words = [text] if self.split is None else text.split() if self.split == "whitespace" else list(text)
        runs = [" ".join(words[i : i + n]) for n in range(2, (self.ngrams or 1) + 1) for i in range(len(words) - n + 1)]
        return words + runs

    def call(self, inputs: Any) -> Any:
        if self._words is None:
            raise DataError(f"{self.name}: no vocabulary yet; call adapt(texts) first, or give vocabulary=[...]")
        texts = [self.words(text) for text in inputs.ravel().tolist()]
        length = self.output_sequence_length or max((len(words) for words in texts), default=0)
        if self.output_mode != "int":
            length = max(max((len(words) for words in texts), default=0), 1)
        numbers = np.zeros((len(texts), length), np.int32)
        for row, words in zip(numbers, texts, strict=True):
            found = self._numbers(words[:length])
            row[: len(found)] = found
        if self.output_mode == "int":
            return numbers
        count = self.hash_bins + 1 if self.hash_bins is not None else self.vocabulary_size()
        return self._encoded(np.where(numbers == 0, -1, numbers), count)

    def _numbers(self, words: list[Any]) -> np.ndarray:
        if self.hash_bins is None:
            return super()._numbers(words)
        return np.array([1 + hashed(word, self.hash_bins, 0) for word in words], np.int32)

    def get_config(self) -> Config:
        config = super().get_config()
        for name in ("num_oov_indices", "mask_token", "oov_token", "invert"):
            del config[name]
        if callable(self.standardize) or callable(self.split):
            raise TypeError(f"{self.name}: functions for standardize or split cannot be saved; use their names")
        own = {"standardize": self.standardize, "split": self.split, "ngrams": self.ngrams, "hash_bins": self.hash_bins}
        if self.hash_bins is not None:
            config["vocabulary"] = None
        return {**config, **own, "output_sequence_length": self.output_sequence_length}
