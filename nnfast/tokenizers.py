"""BytePairTokenizer: texts to whole numbers and back, by pairs of bytes that are frequent in a corpus (extra `text`).

In: strings. Out: int32 arrays, as an Embedding, `fit` and `generate` take them. The library `tokenizers` does the work; its file
format, `tokenizer.json`, is the one that pretrained models come with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from nnfast.errors import DataError, ModelFileError, UnknownNameError, missing_extra, unknown_name
from nnfast.io.tensor_file import replace_file
from nnfast.layers.embedding import check_count

PADDING = "[PAD]"  # number 0 of a vocabulary made here, which masks and Ragged batches take for padding
BYTES = 256


class BytePairTokenizer:
    """Texts as numbers of byte pairs, as in GPT-2: every text has numbers, and they give the text back (Sennrich et al. 2016).

    file: a tokenizer.json, as `save` writes it and models on other libraries bring it. `train` makes one from texts.

    A call takes a text and returns int32 (tokens,), or takes a sequence of texts and returns a list of such arrays, which fit,
    evaluate and predict take as it is (`nnfast.data.Ragged`). With sequence_length all are cut or filled with padding to one array (texts,
    sequence_length). Special tokens are numbers only: "[PAD]" in a text is five letters.

    Raises ModelFileError for a file that is none, DataError for what is no text, MissingExtraError without the library.

    >>> tokenizer = BytePairTokenizer.train(["low lower lowest"] * 9, 262, special_tokens=["[END]"], verbose=0)
    >>> tokenizer("slowest").dtype, tokenizer.decode(tokenizer("slowest ☺"))
    (dtype('int32'), 'slowest ☺')
    >>> tokenizer(["low", "lower low"], sequence_length=4).shape
    (2, 4)
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        library = _library()
        try:
            with open(file, encoding="utf-8") as opened:
                content = opened.read()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(f"{os.fspath(file)}: cannot be read ({error})") from error
        try:
            self._tokenizer = library.Tokenizer.from_str(content)
        except Exception as error:  # the library raises nothing more special
            raise ModelFileError(f"{os.fspath(file)}: no tokenizer.json ({error})") from error
        self._prepare()

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocabulary_size: int = 8000,
        special_tokens: Sequence[str] = (),
        min_frequency: int = 2,
        verbose: Any = "auto",
    ) -> BytePairTokenizer:
        """Learn which pairs to join: the most frequent one again and again, until there are vocabulary_size numbers or no pair is met
        min_frequency times. The same texts give the same numbers.

        texts: strings, read once; a generator may read a large corpus line by line. Number 0 is padding, then come the special tokens,
        then the 256 bytes. verbose: 0, 1, or "auto" for bars on a terminal.

        Raises ValueError for a vocabulary that does not hold what it must, DataError for texts that are none.
        """
        library = _library()
        special = [PADDING, *special_tokens]
        if len(set(special)) != len(special) or not all(isinstance(token, str) and token for token in special):
            raise ValueError(
                f"BytePairTokenizer.train(special_tokens={list(special_tokens)!r}): expected different texts, without {PADDING!r}"
            )
        least = BYTES + len(special)
        if check_count(cls.__name__, "vocabulary_size", vocabulary_size) < least:
            raise ValueError(
                f"BytePairTokenizer.train(vocabulary_size={vocabulary_size!r}): expected {least} or more: padding, special tokens and 256 bytes"
            )
        check_count(cls.__name__, "min_frequency", min_frequency)
        if isinstance(texts, str):
            raise DataError(
                "BytePairTokenizer.train(texts): one text; expected several: put it in a list, or give its lines"
            )
        byte_level = library.pre_tokenizers.ByteLevel
        self = cls.__new__(cls)
        self._tokenizer = library.Tokenizer(library.models.BPE())
        self._tokenizer.pre_tokenizer = byte_level(add_prefix_space=False)
        self._tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocabulary_size, min_frequency=min_frequency, special_tokens=special,
            initial_alphabet=sorted(byte_level.alphabet()), show_progress=_shown(verbose),
        )  # fmt: skip
        given = _checked(texts)
        first = next(given, None)
        if first is None:
            raise DataError("BytePairTokenizer.train: there are no texts")
        self._tokenizer.train_from_iterator(chain([first], given), trainer)
        self._prepare()
        return self

    def _prepare(self) -> None:
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # as plain text

    @property
    def vocabulary_size(self) -> int:
        """How many numbers there are: input_dim of an Embedding."""
        return int(self._tokenizer.get_vocab_size())

    def get_vocabulary(self) -> list[str]:
        """The tokens by number, as the library writes them: a space is "Ġ"."""
        return [self._tokenizer.id_to_token(number) or "" for number in range(self.vocabulary_size)]

    def token_to_id(self, token: str) -> int:
        """The number of a token, such as of a special one. Raises UnknownNameError."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise self._unknown(token)
        return int(number)

    def _unknown(self, token: str) -> UnknownNameError:
        added = self._tokenizer.get_added_tokens_decoder().values()
        return unknown_name("token", token, [str(known.content) for known in added])

    def __call__(self, texts: str | Sequence[str], sequence_length: int | None = None) -> Any:
        single = isinstance(texts, str)
        given = [texts] if single else list(_checked(texts))
        found = [np.array(e.ids, np.int32) for e in self._tokenizer.encode_batch(given, add_special_tokens=False)]
        if sequence_length is None:
            return found[0] if single else found
        check_count(type(self).__name__, "sequence_length", sequence_length)
        rows = np.full((len(found), sequence_length), self.token_to_id(PADDING), np.int32)
        for row, ids in zip(rows, found, strict=True):
            row[: len(ids)] = ids[:sequence_length]
        return rows[0] if single else rows

    def decode(self, ids: Any, skip_special_tokens: bool = True) -> Any:
        """The text of numbers (tokens,), or the list of texts of numbers (texts, tokens) or of a list of arrays.

        Raises DataError for numbers that the vocabulary does not have.
        """
        several = isinstance(ids, list | tuple | np.ndarray) and len(ids) > 0 and np.ndim(ids[0]) == 1
        rows = [np.asarray(row) for row in (ids if several else [ids])]
        for row in rows:
            if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
                raise DataError(
                    f"BytePairTokenizer.decode: ids {row.dtype}{list(row.shape)}: expected whole numbers (tokens,)"
                )
            if row.size and not 0 <= row.min() <= row.max() < self.vocabulary_size:
                raise DataError(
                    f"BytePairTokenizer.decode: ids from {row.min()} to {row.max()}; the vocabulary has 0 to {self.vocabulary_size - 1}"
                )
        texts = self._tokenizer.decode_batch([row.tolist() for row in rows], skip_special_tokens=skip_special_tokens)
        return list(texts) if several else texts[0]

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write a tokenizer.json, whole or not at all."""
        replace_file(os.path.realpath(file), self._tokenizer.to_str(pretty=True).encode())


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise missing_extra("tokenizers", "text") from error
    return tokenizers


def _checked(texts: Iterable[str]) -> Iterator[str]:
    if not isinstance(texts, Iterable):
        raise DataError(f"BytePairTokenizer: texts={texts!r}; expected a str, or several")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"BytePairTokenizer: texts[{place}] is {text!r}; expected a str")
        yield str(text)


def _shown(verbose: Any) -> bool:
    return sys.stderr.isatty() if verbose == "auto" else bool(verbose)
