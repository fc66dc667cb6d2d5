"""Weights of PyTorch's recurrent layers in nnfast's, and the pronunciations of the package g2p-en, where it is installed."""

import importlib.util
import sys
import types
import warnings

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.errors import ShapeError
from nnfast.io import recurrent_weights

RNG = np.random.default_rng(0)
LAYERS = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_as_pytorch(kind, bias):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, kind.upper())(5, 7, batch_first=True, bias=bias, dtype=torch.float64)
    parts = [p.detach().numpy() for p in theirs.parameters()]
    own = LAYERS[kind](7, return_sequences=True, use_bias=bias, dtype="float64")
    x = RNG.standard_normal((3, 9, 5))
    own(x)
    own.set_weights(recurrent_weights(kind, *parts))
    np.testing.assert_allclose(own(x), theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-11, atol=1e-13)


def test_wrong_weights():
    w, u, b = np.zeros((6, 5)), np.zeros((6, 2)), np.zeros(6)
    with pytest.raises(ValueError, match="kind='mgu'"):
        recurrent_weights("mgu", w, u)
    with pytest.raises(ValueError, match="both biases"):
        recurrent_weights("gru", w, u, b)
    with pytest.raises(ShapeError, match="weight_hh has shape"):
        recurrent_weights("lstm", w, u)
    with pytest.raises(ShapeError, match="weight_ih has shape"):
        recurrent_weights("gru", np.zeros((3, 5)), u)
    with pytest.raises(ShapeError, match="bias_hh has shape"):
        recurrent_weights("gru", w, u, b, np.zeros(5))


@pytest.fixture
def package(monkeypatch):
    """The package's own model; its dictionary, which nltk downloads, is left out, so that every word is pronounced by the net."""
    if importlib.util.find_spec("g2p_en") is None:
        pytest.skip("g2p-en is not installed: pip install --no-deps g2p-en")
    stubs = [types.ModuleType(name) for name in ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")]
    nltk, corpus, tokenize, inflect = stubs
    nltk.pos_tag = lambda words: [(word, "") for word in words]
    nltk.data = types.SimpleNamespace(find=lambda name: name)
    corpus.cmudict = types.SimpleNamespace(dict=dict)
    tokenize.TweetTokenizer = lambda: types.SimpleNamespace(tokenize=str.split)
    inflect.engine = lambda: None  # which writes numbers as words
    for module in stubs:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, "g2p_en", raising=False)
    monkeypatch.delitem(sys.modules, "g2p_en.g2p", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package leaves a file open
        found = pytest.importorskip("g2p_en.g2p").G2p()
    with found.variables:
        yield found


def test_pronunciations_of_g2p_en(package):
    def gru(side):
        return recurrent_weights(
            "gru", *(package.variables[f"{side}_{part}"] for part in ("w_ih", "w_hh", "b_ih", "b_hh"))
        )

    encoder = nnfast.Sequential([layers.Embedding(29, 256), layers.GRU(256)])
    token, state = nnfast.Input((1,), dtype="int32"), nnfast.Input((256,))
    last = layers.GRU(256)(layers.Embedding(74, 256)(token), initial_state=state)
    decoder = nnfast.Model([token, state], [last, layers.Dense(74)(last)])
    encoder(np.zeros((1, 1), np.int32))
    encoder.set_weights([package.enc_emb, *gru("enc")])
    decoder.set_weights([package.dec_emb, *gru("dec"), package.fc_w.T, package.fc_b])

    def pronounced(word):
        numbers = [package.g2idx.get(letter, 1) for letter in [*word, "</s>"]]
        h = encoder(np.array([numbers], np.int32))
        found, token = [], 2
        while len(found) < 20:
            h, logits = decoder.predict([np.array([[token]], np.int32), np.asarray(h)], verbose=0)
            token = int(np.argmax(logits[0]))
            if token == 3:
                break
            found.append(package.idx2p[token])
        return found

    words = [
        "activationist",
        "neural",
        "engine",
        "vector",
        "quick",
        "brown",
        "fox",
        "python",
        "kernel",
        "zyzzyva",
        "turbofan",
        "reproducible",
        "naive",
        "strength",
        "a",
        "xylophonist",
    ]
    for word in words:
        assert pronounced(word) == package.predict(word), word
    assert pronounced("kernel") == ["K", "ER1", "N", "AH0", "L"]
