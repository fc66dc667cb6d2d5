"""Columns of a table on their way into a network."""

import json

import numpy as np
import pytest

import nnfast
from nnfast import Columns, layers
from nnfast.errors import DataError

RNG = np.random.default_rng(0)


def table(rows):
    return {
        "age": RNG.integers(20, 30, rows).astype(np.float32),
        "gain": np.where(RNG.random(rows) < 0.2, 5000.0, 0.0),
        "job": RNG.choice(["cook", "judge", "smith"], rows),
        "member": RNG.random(rows) < 0.5,
        "number": np.arange(rows),
    }


def test_what_becomes_of_each_kind():
    rows = table(200)
    columns = Columns({"age": "both", "gain": "skewed", "number": None})
    x = columns.fit_transform(rows)
    assert set(x) == {"age", "job", "member", "numbers"}
    assert columns.categories == {"age": 11, "job": 4, "member": 3}
    assert x["numbers"].shape == (200, 2) and x["numbers"].dtype == np.float32
    logs = np.log1p(rows["gain"])
    np.testing.assert_allclose(x["numbers"][:, 1], (logs - logs.mean()) / logs.std(), rtol=1e-5)
    np.testing.assert_allclose(x["numbers"].std(0), 1, rtol=1e-5)
    assert len(np.unique(x["age"])) == 10 and x["age"].min() == 1
    again = columns.transform({**rows, "job": np.full(200, "pilot"), "age": np.full(200, np.nan)})
    assert (again["job"] == 0).all() and (again["age"] == 0).all() and (again["numbers"][:, 0] == 0).all()


def test_whole_numbers_are_the_same_category_in_every_type():
    columns = Columns({"code": "category"}).fit({"code": np.array([3.0, 7.0, 7.5])})
    assert (
        columns.transform({"code": np.array([7, 3])})["code"].tolist()
        == columns.transform({"code": ["7", "3"]})["code"].tolist()
        != [0, 0]
    )


def test_structured_arrays_and_rare_values():
    rows = np.array([("a", 1.0), ("a", 2.0), ("b", 3.0)], [("name", "U3"), ("size", "f8")])
    x = Columns(rare=2).fit_transform(rows)
    assert x["name"].tolist() == [1, 1, 0]
    np.testing.assert_allclose(x["numbers"][:, 0], [-(1.5**0.5), 0, 1.5**0.5], rtol=1e-6)


def test_network_learns_from_all_columns():
    rows = table(600)
    y = ((rows["job"] == "judge") ^ (rows["age"] % 2 == 1)).astype(np.int32)
    columns = Columns({"age": "both"})
    x = columns.fit_transform(rows)
    nnfast.set_random_seed(0)
    inputs, joined = columns.model_inputs()
    model = nnfast.Model(inputs, layers.Dense(1)(layers.Dense(32, activation="relu")(joined)))
    loss = nnfast.losses.BinaryCrossentropy(from_logits=True)
    model.compile(nnfast.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=15, verbose=0)
    other = table(200)
    wanted = ((other["job"] == "judge") ^ (other["age"] % 2 == 1)).astype(np.int32)
    assert model.evaluate(columns.transform(other), wanted, verbose=0)[1] > 0.95


def test_columns_come_back_from_json():
    rows = table(50)
    columns = Columns({"gain": "skewed"}, embedding_width=3).fit(rows)
    again = Columns.from_config(json.loads(json.dumps(columns.get_config())))
    for (name, array), other in zip(columns.transform(rows).items(), again.transform(rows).values(), strict=True):
        np.testing.assert_array_equal(array, other, err_msg=name)
    assert again.width("job") == 3
    assert Columns.from_config(Columns().get_config()).found is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Columns().transform({"a": [1]}), "call fit"),
        (lambda: Columns().fit([1, 2]), "dictionary of columns"),
        (lambda: Columns().fit({}), "columns of the same number"),
        (lambda: Columns().fit({"a": [1], "b": [1, 2]}), "shapes"),
        (lambda: Columns().fit({"a": []}), "no rows"),
        (lambda: Columns({"b": "number"}).fit({"a": [1]}), "no column 'b'"),
        (lambda: Columns({"a": "number"}).fit({"a": ["x"]}), "holds no numbers"),
        (lambda: Columns({"a": "skewed"}).fit({"a": [-2.0]}), "above -1"),
        (lambda: Columns().fit({"numbers": [1.0]}), "rename"),
        (lambda: Columns().fit({"a": [1.0]}).transform({"b": [1.0]}), "no column 'a'"),
    ],
)
def test_wrong_tables(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"kinds=.*'text'"):
        Columns({"a": "text"})
    with pytest.raises(ValueError, match="embedding_width"):
        Columns(embedding_width=0)
