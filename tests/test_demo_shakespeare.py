"""`nnfast demo shakespeare` on a short text that has a pattern."""

import json

import numpy as np
import pytest

import nnfast
from nnfast import cli
from nnfast.cli import shakespeare


@pytest.fixture
def text(monkeypatch):
    """Letters of which each follows on one of two others."""
    rng = np.random.default_rng(0)
    letters = np.cumsum(rng.integers(1, 3, 4000)) % 7
    numbers = letters.astype(np.int32)
    data = numbers[:3000], numbers[3000:], "\nabcdef"
    monkeypatch.setattr(nnfast.datasets, "load_shakespeare", lambda: data)
    return data


def test_demo_trains_compares_and_writes(text, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shakespeare, "LETTERS", 30)
    arguments = ["demo", "shakespeare", "--steps", "30", "--seed", "1", "--output", str(tmp_path), "--json"]
    facts = []
    for _ in range(2):
        assert cli.main(arguments) == 0
        facts.append(json.loads(capsys.readouterr().out))
    assert facts[0]["validation_loss"] == facts[1]["validation_loss"] < np.log(7)
    assert facts[0]["text"] == facts[1]["text"] and len(facts[0]["text"]) == 30
    assert np.log(2) < facts[0]["counted_characters"] < 0.8  # two letters can follow
    assert nnfast.load_model(facts[0]["model"]).count_params() > 0


def test_counted_characters_are_a_distribution(text):
    """The probabilities of all letters at a place add up to 1."""
    train, validation, characters = text
    start = validation[: shakespeare.ORDER + 1]
    total = 0.0
    for letter in range(len(characters)):
        ended = np.append(start[:-1], letter).astype(np.int32)
        total += np.exp(-shakespeare.counted_loss(train, ended, len(characters)))
    assert total == pytest.approx(1.0)
