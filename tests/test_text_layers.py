"""Vocabularies, hashing, categories, bins: what becomes of strings and numbers before a model sees them."""

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.errors import DataError


def test_a_vocabulary_is_learnt_by_frequency():
    layer = layers.StringLookup(max_tokens=4)
    layer.adapt(np.array([["a", "c", "d"], ["d", "z", "b"]]))
    assert layer.get_vocabulary() == ["[UNK]", "d", "z", "c"]  # equal counts: the last in order first, as in Keras
    assert layer(np.array([["d", "a"], ["c", "z"]])).tolist() == [[1, 0], [3, 2]]
    again = layers.StringLookup(max_tokens=4)
    again.adapt(iter([["a", "c", "d"], ["d", "z", "b"]]))  # batch after batch
    assert again.get_vocabulary() == layer.get_vocabulary()


def test_lookup_with_mask_unknowns_and_back():
    layer = layers.StringLookup(vocabulary=["a", "b"], mask_token="", num_oov_indices=2)
    assert layer.get_vocabulary() == ["", "[UNK]", "[UNK]", "a", "b"]
    found = layer(["", "a", "b", "x", "y", "zz"])
    assert found[:3].tolist() == [0, 3, 4] and set(found[3:]) <= {1, 2}
    back = layers.StringLookup(vocabulary=["a", "b"], invert=True)
    assert back([1, 2, 0, 9]).tolist() == ["a", "b", "[UNK]", "[UNK]"]
    numbers = layers.IntegerLookup(vocabulary=[10, 30], output_mode="multi_hot")
    assert numbers([[10, 30, 7]]).tolist() == [[1, 1, 1]]
    assert layers.IntegerLookup(vocabulary=[10, 30], mask_token=0)([0, 30, 5]).tolist() == [0, 3, 1]


def test_text_to_numbers():
    layer = layers.TextVectorization(max_tokens=5)
    layer.adapt(["The cat. The dog!", "the CAT sat"])
    assert layer.get_vocabulary() == ["", "[UNK]", "the", "cat", "sat"]
    assert layer(["cat the", "a dog the cat"]).tolist() == [[3, 2, 0, 0], [1, 1, 2, 3]]
    fixed = layers.TextVectorization(vocabulary=["a", "b"], split="character", output_sequence_length=3)
    assert fixed(["ab", "babab", ""]).tolist() == [[2, 3, 0], [3, 2, 3], [0, 0, 0]]
    pairs = layers.TextVectorization(vocabulary=["a", "b", "a b"], ngrams=2, output_mode="count")
    assert pairs(["a b a"]).tolist() == [[0, 1, 2, 1, 1]]  # "b a" is unknown
    own = layers.TextVectorization(standardize=str.upper, split=lambda s: s.split(","), vocabulary=["X", "Y"])
    assert own(["x,y"]).tolist() == [[2, 3]]


def test_hashes_are_the_same_everywhere():
    """Written down: another machine, or another version, must give them too."""
    assert layers.Hashing(1000)(["word", "other", "word"]).tolist() == GOLDEN
    layer = layers.Hashing(10, mask_value="none", salt=5)
    found = layer(np.array([f"w{i}" for i in range(300)]))
    assert found.min() == 1 and found.max() == 9 and layer(["none"]).tolist() == [0]
    assert (found != layers.Hashing(10, mask_value="none")(np.array([f"w{i}" for i in range(300)]))).any()
    words = layers.TextVectorization(hash_bins=50)(["some words here", "words"])
    assert (
        words.shape == (2, 3) and words[0, 1] == words[1, 0] and words[1, 1:].tolist() == [0, 0] and words.max() <= 50
    )


GOLDEN = [114, 78, 114]


def test_categories_and_bins_also_inside_a_model():
    x = np.array([[0, 2], [3, 3], [9, -1]])
    wanted = {"multi_hot": [[1, 0, 1, 0], [0, 0, 0, 1], [0] * 4], "count": [[1, 0, 1, 0], [0, 0, 0, 2], [0] * 4]}
    for mode, rows in wanted.items():
        assert layers.CategoryEncoding(4, mode)(x).tolist() == rows
        model = nnfast.Sequential([nnfast.Input((2,), dtype="int32"), layers.CategoryEncoding(4, mode)])
        assert model.predict(x, verbose=0).tolist() == rows
    assert layers.CategoryEncoding(2, "one_hot")(np.array([[1], [0]])).tolist() == [[0, 1], [1, 0]]
    values = np.array([[-1.0, 0.0, 0.5], [1.0, 7.0, np.nan]], np.float32)
    assert layers.Discretization([0.0, 1.0])(values).tolist() == [[0, 1, 1], [2, 2, 0]]
    bins = layers.Discretization(num_bins=4)
    bins.adapt(np.arange(100.0))
    assert bins.bin_boundaries == [25.0, 50.0, 75.0]
    model = nnfast.Sequential(
        [nnfast.Input((1,)), layers.Discretization([0.0], output_mode="one_hot"), layers.Dense(1)]
    )
    assert model.predict(np.ones((2, 1)), verbose=0).shape == (2, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.StringLookup()(["a"]), DataError, "call adapt"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), ValueError, "twice"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), DataError, "not in the vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a"])([0.5]), DataError, "strings or whole numbers"),
        (lambda: layers.TextVectorization(split="commas"), ValueError, "whitespace, character"),
        (lambda: layers.TextVectorization(output_mode="one_hot"), ValueError, "output_mode"),
        (lambda: layers.Discretization([1.0, 0.0]), ValueError, "ascending"),
        (lambda: layers.Discretization(num_bins=3)(np.ones(2)), DataError, "adapt"),
        (lambda: layers.Discretization(), ValueError, "bin_boundaries"),
        (lambda: layers.Hashing(1, mask_value=0), ValueError, "two at least"),
    ],
)
def test_wrong_use(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_tf_idf_weighs_words_by_how_few_texts_have_them():
    texts = ["the cat", "the dog the", "the end"]
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(texts)
    words = layer.get_vocabulary()
    found = layer(["the the cat", "cow"])
    everywhere, rare = np.log(1 + 3 / (1 + 3)), np.log(1 + 3 / (1 + 1))
    assert found[0][words.index("the")] == pytest.approx(2 * everywhere)
    assert found[0][words.index("cat")] == pytest.approx(rare)
    assert np.count_nonzero(found[0]) == 2
    assert found[1][1] == pytest.approx((everywhere + 3 * rare) / 4)  # unknown: the mean
    assert found[1].sum() == found[1][1]
    again = layers.TextVectorization.from_config(layer.get_config())
    np.testing.assert_array_equal(again(["the the cat", "cow"]), found)


def test_tf_idf_of_lookups():
    lookup = layers.StringLookup(vocabulary=["a", "b"], idf_weights=[0.5, 2.0], output_mode="tf_idf")
    assert lookup([["a", "b", "b"], ["c", "a", "a"]]).tolist() == [[0.0, 0.5, 4.0], [1.25, 1.0, 0.0]]
    rows = layers.IntegerLookup(output_mode="tf_idf")
    rows.adapt(np.array([[1, 1], [1, 2]]))
    assert rows.get_vocabulary() == [-1, 1, 2]
    np.testing.assert_allclose(rows(np.array([[2, 2]])), [[0, 0, 2 * np.log(1 + 2 / 2)]], rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"vocabulary": ["a"], "output_mode": "tf_idf"},
        {"vocabulary": ["a"], "output_mode": "tf_idf", "idf_weights": [1.0, 2.0]},
        {"vocabulary": ["a"], "output_mode": "count", "idf_weights": [1.0]},
        {"output_mode": "tf_idf", "idf_weights": [1.0]},
    ],
)
def test_wrong_idf_weights(arguments):
    with pytest.raises(ValueError, match="idf_weights"):
        layers.StringLookup(**arguments)
