"""`nnfast demo spam` on made-up e-mails, on a part of the real ones, and whole with NNFAST_TEST_DEMOS=full."""

import json
import os

import numpy as np
import pytest

import nnfast
from nnfast import cli, environment
from nnfast.cli import spam

PLAIN, PUSHY = (
    ["meeting", "report", "thanks", "list", "code", "patch"],
    ["FREE", "money", "$100", "click", "offer", "!!!"],
)


def mails(count, seed):
    """Who is pushy uses other words, though not only."""
    rng = np.random.default_rng(seed)
    y = (rng.random(count) < 0.3).astype(np.int32)
    texts = []
    for pushy in y:
        own, other = (PUSHY, PLAIN) if pushy else (PLAIN, PUSHY)
        words = [*rng.choice(own, 6), *rng.choice(other, 2), *rng.choice(["the", "a", "we", "it"], 10)]
        texts.append(" ".join(rng.permutation(words)))
    return texts, y


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(nnfast.datasets, "load_spam", lambda: (mails(400, 0), mails(100, 1)))
    monkeypatch.setattr(spam, "VIEWS", {"words": (30, 200), "runs": (80, 500)})


def test_demo_trains_compares_and_saves(made_up, tmp_path, capsys):
    facts = []
    for _ in range(2):
        arguments = ["demo", "spam", "--epochs", "20", "--seed", "1", "--output", str(tmp_path), "--json"]
        assert cli.main(arguments) == 0
        facts.append(json.loads(capsys.readouterr().out))
    assert facts[0]["accuracy"] == facts[1]["accuracy"] > 0.95
    assert facts[0]["naive_bayes"] > 0.9
    wrong = 100 * (1 - facts[0]["accuracy"])
    share = np.mean(mails(100, 1)[1])
    assert wrong == pytest.approx(100 * (facts[0]["wanted_lost"] * (1 - share) + facts[0]["spam_passed"] * share))
    assert nnfast.load_model(facts[0]["model"]).count_params() > 0
    assert cli.main(["demo", "spam", "--epochs", "1", "--output", str(tmp_path)]) == 0
    assert "naive Bayes" in capsys.readouterr().out


def test_words_of_the_test_texts_do_not_count(made_up):
    x, x_test, kinds = spam.prepared(["we meet", "we do"], ["we unheard"])
    assert kinds["words"] == 2 + 3
    assert np.count_nonzero(x["words"]) == 4
    assert np.count_nonzero(x_test["words"]) == 1


def test_naive_bayes_counts():
    x = np.array([[1, 2], [1, 0], [2, 3]])
    y = np.array([1, 1, 0])
    # counts and one each: spam 1: 3, 2: 2, 3: 1 of 6; wanted 1: 1, 2: 2, 3: 2 of 5
    found = spam.naive_bayes(x, y, np.array([[1, 0], [3, 3]]), 4)
    assert found.tolist() == [True, (1 / 6 / (2 / 5)) ** 2 * 2 > 1]


def test_spam(tmp_path, capsys, monkeypatch):
    """A part of the real e-mails."""
    folder = environment.data_folder()
    if folder is None or not (folder / "spam_assassin.zip").exists():
        pytest.skip("NNFAST_DATA names no folder with spam_assassin.zip")
    (texts, y), (texts_test, y_test) = nnfast.datasets.load_spam()
    monkeypatch.setattr(nnfast.datasets, "load_spam", lambda: ((texts[::4], y[::4]), (texts_test[::4], y_test[::4])))
    assert cli.main(["demo", "spam", "--epochs", "4", "--output", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["accuracy"] > 0.95
    assert facts["naive_bayes"] > 0.95


@pytest.mark.skipif(os.environ.get("NNFAST_TEST_DEMOS") != "full", reason="NNFAST_TEST_DEMOS=full runs all epochs")
def test_spam_whole(tmp_path, capsys):
    assert cli.main(["demo", "spam", "--output", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["accuracy"] >= 0.985 > facts["naive_bayes"]
