"""BytePairTokenizer: every text comes back from its numbers, and the numbers are those of the algorithm."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnfast
from nnfast import BytePairTokenizer, layers
from nnfast.errors import DataError, MissingExtraError, ModelFileError, UnknownNameError

pytest.importorskip("tokenizers")

CORPUS = ["low low low low low", "lower lower", "newest newest newest newest newest newest", "widest widest widest"]
SPECIAL = ["[END]"]


@pytest.fixture(scope="module")
def tokenizer():
    return BytePairTokenizer.train(CORPUS, 270, SPECIAL, verbose=0)


def pairs_joined(words, count):
    """Sennrich et al. 2016, algorithm 1: the tokens that so many joins make, the most frequent pair first."""
    words = {tuple(word): times for word, times in words.items()}
    made = []
    for _ in range(count):
        pairs = {}
        for word, times in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] = pairs.get(pair, 0) + times
        best = max(pairs.values())
        made.append({"".join(pair) for pair, times in pairs.items() if times == best})
        if len(made[-1]) > 1:  # a tie may be broken either way
            return made
        (joined,) = made[-1]
        for word in list(words):
            parts, times = list(word), words.pop(word)
            i = 0
            while i + 1 < len(parts):
                if parts[i] + parts[i + 1] == joined:
                    parts[i : i + 2] = [joined]
                i += 1
            words[tuple(parts)] = times
    return made


def test_the_most_frequent_pair_is_joined_first():
    words = {"abcabc": 5, "abd": 4, "bc": 2, "xyxy": 2}
    found = BytePairTokenizer.train([word for word, times in words.items() for _ in range(times)], 400, verbose=0)
    expected = pairs_joined(words, 9)
    joined = found.get_vocabulary()[257:]
    assert joined[: len(expected) - 1] == [next(iter(tokens)) for tokens in expected[:-1]]
    assert len(expected) > 2
    assert joined[len(expected) - 1] in expected[-1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(), max_size=4))
def test_every_text_comes_back(tokenizer, texts):
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]  # lone surrogates are no text
    found = tokenizer(texts)
    assert tokenizer.decode(found) == texts if texts else found == []
    for text, ids in zip(texts, found, strict=True):
        assert ids.dtype == np.int32
        assert ids.tolist() == tokenizer(text).tolist()
        assert len(ids) <= len(text.encode())


def test_numbers(tokenizer):
    assert tokenizer.get_vocabulary()[:2] == ["[PAD]", "[END]"]
    assert tokenizer.vocabulary_size == len(tokenizer.get_vocabulary()) == 270
    assert [tokenizer.token_to_id(token) for token in ("[PAD]", "[END]")] == [0, 1]
    assert len(tokenizer("newest")) == 1 < len(tokenizer("tsuwon")) == 6
    assert len(tokenizer("[END]")) >= 4  # letters
    rows = tokenizer(["low", "newest lowest"], sequence_length=3)
    assert rows.shape == (2, 3)
    assert rows[0, len(tokenizer("low")) :].tolist() == [0] * (3 - len(tokenizer("low")))
    assert rows[1].tolist() == tokenizer("newest lowest")[:3].tolist()
    assert tokenizer("low", sequence_length=3).tolist() == rows[0].tolist()
    assert tokenizer([], sequence_length=3).shape == (0, 3)
    assert tokenizer.decode(rows)[0] == "low"
    assert tokenizer.decode(rows[0], skip_special_tokens=False).startswith("low[PAD]")
    assert tokenizer.decode([]) == ""


def test_the_same_texts_give_the_same_numbers(tokenizer, tmp_path):
    again = BytePairTokenizer.train(iter(CORPUS), 270, SPECIAL, verbose=0)
    again.save(tmp_path / "again.json")
    tokenizer.save(tmp_path / "tokenizer.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    loaded = BytePairTokenizer(tmp_path / "tokenizer.json")
    assert loaded("slowest [END] ☺").tolist() == tokenizer("slowest [END] ☺").tolist()
    assert loaded.decode(loaded("slowest [END] ☺")) == "slowest [END] ☺"


def test_a_model_learns_from_its_numbers(tokenizer):
    """Lists of different lengths go into fit, and generate's numbers become text."""
    nnfast.set_random_seed(0)
    end = tokenizer.token_to_id("[END]")
    rows = [np.append(tokenizer(text), end) for text in CORPUS]
    x, y = [row[:-1] for row in rows], [row[1:] for row in rows]
    tokens = nnfast.Input((None,), dtype="int32")
    hidden = layers.LSTM(32, return_sequences=True)(
        layers.Embedding(tokenizer.vocabulary_size, 16, mask_zero=True)(tokens)
    )
    model = nnfast.Model(tokens, layers.Dense(tokenizer.vocabulary_size)(hidden))
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(nnfast.optimizers.Adam(0.02), loss)
    model.fit(nnfast.data.Ragged(x), nnfast.data.Ragged(y), batch_size=4, epochs=300, verbose=0)
    found = nnfast.generate(model, tokenizer("widest"), 20, end_token=end, verbose=0)
    assert tokenizer.decode(found) == "widest widest widest"


def test_errors(tokenizer, tmp_path):
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    for name in ("none.json", "bytes.json", "missing.json"):
        with pytest.raises(ModelFileError, match=name):
            BytePairTokenizer(tmp_path / name)
    for texts, message in (
        ([], "no texts"),
        ("low", "put it in a list"),
        (["low", 2], r"texts\[1\] is 2"),
        (5, "texts=5"),
    ):
        with pytest.raises(DataError, match=message):
            BytePairTokenizer.train(texts, 300, verbose=0)
    with pytest.raises(ValueError, match="expected 258 or more"):
        BytePairTokenizer.train(CORPUS, 257, SPECIAL)
    for wrong, name in (({"vocabulary_size": 2.5}, "vocabulary_size"), ({"min_frequency": 0}, "min_frequency")):
        with pytest.raises((ValueError, TypeError), match=name):
            BytePairTokenizer.train(CORPUS, **wrong)
    for special in (["[PAD]"], ["a", "a"], [""], [3]):
        with pytest.raises(ValueError, match="special_tokens"):
            BytePairTokenizer.train(CORPUS, 300, special)
    with pytest.raises(DataError, match=r"texts\[1\] is None"):
        tokenizer(["low", None])
    with pytest.raises((ValueError, TypeError), match="sequence_length"):
        tokenizer("low", 0)
    with pytest.raises(DataError, match="from 2 to 270; the vocabulary has 0 to 269"):
        tokenizer.decode([2, 270])
    for ids in ([0.5], 5, np.zeros((2, 2, 2), int), "low"):
        with pytest.raises(DataError, match="whole numbers"):
            tokenizer.decode(ids)
    with pytest.raises(UnknownNameError, match=r"did you mean '\[END\]'"):
        tokenizer.token_to_id("[EN]")
    with pytest.raises(FileNotFoundError, match="make it first"):
        tokenizer.save(tmp_path / "nowhere" / "tokenizer.json")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"nnfast\[text\]"):
        BytePairTokenizer.train(CORPUS, 270)
