"""Embeddings, attention, transformers: against PyTorch in float64, the same bits on any threads, and token by token as at once."""

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.decoding import Decoder, context_of, token_wise
from nnfast.errors import DataError, NnfastError, ShapeError
from nnfast.generation import probabilities

RNG = np.random.default_rng(0)


def gpt(vocabulary=29, width=24, depth=2, heads=3, context=20, tied=False, **options):
    tokens = nnfast.Input((context,), dtype="int32")
    kind = layers.ReversibleEmbedding if tied else layers.Embedding
    embedding = kind(vocabulary, width, dtype=options.get("dtype"))
    x = embedding(tokens)
    x = layers.Add()([x, layers.PositionEmbedding(context, dtype=options.get("dtype"))(x)])
    for _ in range(depth):
        x = layers.TransformerDecoder(4 * width, heads, activation="gelu", normalize_first=True, **options)(x)
    x = layers.LayerNormalization(dtype=options.get("dtype"))(x)
    logits = embedding(x, reverse=True) if tied else layers.Dense(vocabulary, use_bias=False, dtype=x.dtype)(x)
    return nnfast.Model(tokens, logits)


def compiled(model, optimizer="adam"):
    model.compile(optimizer=optimizer, loss=nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def batches(count, rows=4, length=20, vocabulary=29):
    rng = np.random.default_rng(1)
    return [rng.integers(0, vocabulary, (2, rows, length)).astype(np.int32) for _ in range(count)]


# Against PyTorch
def torch_gpt(torch, model, heads, depth):
    """The same function of tokens in PyTorch, and its parameters, from the model's weights."""
    F = torch.nn.functional
    names = [v.name.split("/", 1)[1] for v in model.weights]
    given = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]

    def forward(tokens):
        weights = iter(given)

        def dense(x, bias=True):
            y = x @ next(weights)
            return y + next(weights) if bias else y

        def norm(x, gamma, beta):
            return F.layer_norm(x, x.shape[-1:], gamma, beta, 1e-5)

        x = next(weights)[tokens] + next(weights)[: tokens.shape[1]]
        for _ in range(depth):
            qkvo = [(next(weights), next(weights)) for _ in range(4)]
            first, second = next(weights), next(weights)
            up, down = (next(weights), next(weights)), (next(weights), next(weights))
            third, fourth = next(weights), next(weights)
            y = norm(x, first, second)
            q, k, v = ((y @ w + b).unflatten(-1, (heads, -1)).transpose(1, 2) for w, b in qkvo[:3])
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
            x = x + a @ qkvo[3][0] + qkvo[3][1]
            y = F.gelu(norm(x, third, fourth) @ up[0] + up[1])
            x = x + y @ down[0] + down[1]
        x = norm(x, next(weights), next(weights))
        return dense(x, bias=False)

    assert len(names) == len(given)
    return forward, given


def test_loss_curve_of_a_gpt_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    model = compiled(gpt(dtype="float64"), nnfast.optimizers.AdamW(1e-3))
    forward, given = torch_gpt(torch, model, heads=3, depth=2)
    optimizer = torch.optim.AdamW(given, lr=1e-3, eps=1e-7, weight_decay=0.004)
    for x, y in batches(50):
        loss = torch.nn.functional.cross_entropy(
            forward(torch.tensor(x)).flatten(0, 1), torch.tensor(y).long().flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(model.train_on_batch(x, y), loss.item(), rtol=1e-8)


@pytest.mark.parametrize("normalize_first", [False, True])
def test_encoder_with_padding_and_decoder_with_encoder_against_pytorch(normalize_first):
    """PyTorch's own TransformerEncoderLayer and TransformerDecoderLayer, weights copied over."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    options = {"batch_first": True, "norm_first": normalize_first, "dropout": 0.0, "dtype": torch.float64}
    x, encoded = RNG.standard_normal((2, 5, 12)), RNG.standard_normal((2, 7, 12))
    keep = np.array([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 1, 1]], np.float64)
    encoder = layers.TransformerEncoder(16, 3, normalize_first=normalize_first, dtype="float64")
    decoder = layers.TransformerDecoder(16, 3, normalize_first=normalize_first, dtype="float64")
    theirs_e = torch.nn.TransformerEncoderLayer(12, 3, 16, **options)
    theirs_d = torch.nn.TransformerDecoderLayer(12, 3, 16, **options)
    encoder(encoded), decoder(x, encoded)  # build
    for ours, theirs in ((encoder, theirs_e), (decoder, theirs_d)):
        ours.set_weights(weights_of(theirs))
    memory = encoder(encoded, mask=keep)
    padding = torch.tensor(keep == 0)
    wanted = theirs_e(torch.tensor(encoded), src_key_padding_mask=padding)
    kept = keep.astype(bool)
    np.testing.assert_allclose(memory[kept], wanted.detach().numpy()[kept], rtol=1e-12, atol=1e-12)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    wanted = theirs_d(torch.tensor(x), wanted, tgt_mask=causal, memory_key_padding_mask=padding)
    found = decoder(x, memory, mask=[None, keep])
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-11, atol=1e-12)


def weights_of(layer):
    """A PyTorch layer's parameters in the order of nnfast's weights."""

    def attention(a):
        parts = zip(a.in_proj_weight.chunk(3), a.in_proj_bias.chunk(3), strict=True)
        return [*(p for w, b in parts for p in (w.T, b)), a.out_proj.weight.T, a.out_proj.bias]

    def norm(n):
        return [n.weight, n.bias]

    found = [*attention(layer.self_attn), *norm(layer.norm1)]
    if hasattr(layer, "multihead_attn"):
        found += [*attention(layer.multihead_attn), *norm(layer.norm2)]
    found += [layer.linear1.weight.T, layer.linear1.bias, layer.linear2.weight.T, layer.linear2.bias]
    found += norm(layer.norm3 if hasattr(layer, "norm3") else layer.norm2)
    return [p.detach().numpy() for p in found]


def test_gradients_of_attention_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    q, k, v = (RNG.standard_normal((2, n, h, 16)) for n, h in ((70, 4), (150, 2), (150, 2)))
    bias = RNG.standard_normal((2, 1, 1, 150))
    weight = RNG.standard_normal(q.shape)

    def loss(q, k, v):
        return nnfast.ops.sum(nnfast.ops.dot_product_attention(q, k, v, bias=bias, is_causal=True) * weight)

    value, gradients = nnfast.value_and_grad(loss)(q, k, v)
    tensors = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    masked = torch.tensor(bias) + torch.triu(torch.full((70, 150), -torch.inf, dtype=torch.float64), 1)
    heads = [t.transpose(1, 2) for t in tensors]
    y = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=masked, enable_gqa=True).transpose(1, 2)
    total = (y * torch.tensor(weight)).sum()
    total.backward()
    np.testing.assert_allclose(value, total.item(), rtol=1e-12)
    for found, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)


# The contract
def test_training_has_the_same_bits_on_any_number_of_threads():
    found = []
    for threads in (1, 2, 3):
        with nnfast.num_threads(threads):
            nnfast.set_random_seed(3)
            model = compiled(gpt(dropout=0.1, tied=True), nnfast.optimizers.AdamW(1e-3))
            for x, y in batches(4, rows=7):
                model.train_on_batch(x, y)
            found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", ["learned", "rotary", "alibi", "grouped"])
def test_token_by_token_equals_the_whole_sequence_to_the_bit(kind):
    """Also alone, where the whole batch was computed at once."""
    nnfast.set_random_seed(1)
    if kind == "grouped":
        tokens = nnfast.Input((20,), dtype="int32")
        x = layers.Embedding(29, 24)(tokens)
        x = layers.GroupedQueryAttention(8, 4, 2, rotary=10000.0)(x, x, use_causal_mask=True)
        model = nnfast.Model(tokens, layers.Dense(29)(x))
    else:
        model = gpt(rotary=10000.0 if kind == "rotary" else None, alibi=kind == "alibi")
    assert token_wise(model)
    ids = RNG.integers(0, 29, (3, 20)).astype(np.int32)
    whole = model.predict(ids, verbose=0)
    decoder = Decoder(model, 3, 20)
    assert decoder.cached
    for t, end in enumerate([5, *range(6, 21)]):
        found = decoder.feed(ids[:, (0 if t == 0 else end - 1) : end])
        assert found.tobytes() == whole[:, end - 1].tobytes()
    alone = Decoder(model, 1, 20)
    found = [alone.feed(ids[1:2, t : t + 1])[0] for t in range(20)]
    assert np.array(found).tobytes() == whole[1].tobytes()


def test_keys_that_are_masked_do_not_count():
    x = RNG.standard_normal((2, 9, 2, 8)).astype(np.float32)
    keep = (RNG.random((2, 9)) < 0.6).astype(np.float32)
    keep[1] = 0
    found = nnfast.ops.dot_product_attention(x, x, x, mask=keep)
    chosen = keep[0].astype(bool)
    alone = nnfast.ops.dot_product_attention(x[:1], x[:1, chosen], x[:1, chosen])
    np.testing.assert_allclose(found[0], alone[0], rtol=1e-5, atol=1e-6)
    assert not found[1].any()  # no key at all: zeros


def test_scores_are_returned():
    layer = layers.MultiHeadAttention(2, 4)
    x = RNG.standard_normal((2, 5, 8)).astype(np.float32)
    y, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    assert y.shape == (2, 5, 8) and scores.shape == (2, 2, 5, 5)
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    assert not np.triu(scores, 1).any()


def test_dropout_of_scores_is_that_of_its_gradient():
    """With values of one, the output is the mean of the kept weights: about 1, another in each step, and 1 / (1 - rate) times larger."""
    x = RNG.standard_normal((2, 64, 2, 8)).astype(np.float32)
    ones = np.ones((2, 64, 2, 1), np.float32)

    def total(v):
        return nnfast.ops.sum(nnfast.ops.dot_product_attention(x, x, v, dropout=0.5, seed_stream=3))

    function = nnfast.value_and_grad(total)
    (value, (gradient,)), (again, _) = function(ones), function(ones)
    assert value == pytest.approx(gradient.sum(), rel=1e-5)  # linear in the values
    assert value != again
    assert value / ones.size == pytest.approx(1.0, abs=0.1)


# Embeddings
def test_sparse_updates_move_the_rows_of_the_batch_alone():
    """Dense, and sparse with SGD, have the same bits; sparse with Adam leaves the other rows alone."""
    ids = RNG.integers(0, 50, (6, 3)).astype(np.int32)
    y = RNG.standard_normal((6, 4)).astype(np.float32)
    weights = {}
    for optimizer in ("sgd", "adam", "rmsprop"):
        for sparse in (False, True):
            nnfast.set_random_seed(5)
            bag = layers.EmbeddingBag(400, 4, sparse=sparse)
            model = nnfast.Sequential([nnfast.Input((3,), dtype="int32"), bag])
            model.compile(optimizer=optimizer, loss="mse")
            before = bag.get_weights()[0]
            model.train_on_batch(ids, y)
            model.train_on_batch(ids[:3], y[:3])
            weights[optimizer, sparse] = bag.get_weights()[0]
            moved = np.flatnonzero((weights[optimizer, sparse] != before).any(1))
            assert set(moved) <= set(ids.ravel())
    assert weights["sgd", False].tobytes() == weights["sgd", True].tobytes()
    once = np.setdiff1d(ids[3:], ids[:3])
    assert once.size and (weights["adam", False][once] != weights["adam", True][once]).any()


def test_bags_leave_padding_out():
    ids = np.array([[1, 2, 0], [0, 0, 0]], np.int32)
    table = np.array([[9.0], [1.0], [3.0]], np.float32)
    for mode, wanted in (("mean", 2.0), ("sum", 4.0), ("max", 3.0)):
        bag = layers.EmbeddingBag(3, 1, mode=mode, mask_zero=True)
        bag(ids)
        bag.set_weights([table])
        assert bag(ids).ravel().tolist() == [wanted, 0.0], mode


def test_padding_of_an_embedding_reaches_attention():
    """The mask goes by itself from Embedding to attention, as if it were given; what stands in the padding does not matter."""
    ids = np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]], np.int32)
    keep = (ids != 0).astype(np.float32)
    tokens = nnfast.Input((6,), dtype="int32")
    embedding, encoder = layers.Embedding(10, 8, mask_zero=True), layers.TransformerEncoder(16, 2)
    found = nnfast.Model(tokens, encoder(embedding(tokens))).predict(ids, verbose=0)
    embedded = embedding(ids)
    assert found[keep > 0].tobytes() == encoder(embedded, mask=keep)[keep > 0].tobytes()
    assert found[0, :3].tobytes() != encoder(embedded)[0, :3].tobytes()
    embedded[0, 3:] = 7.0
    assert found[0, :3].tobytes() == encoder(embedded, mask=keep)[0, :3].tobytes()


def test_tied_model_is_saved_and_loaded(tmp_path):
    model = gpt(tied=True)
    ids = RNG.integers(0, 29, (2, 20)).astype(np.int32)
    wanted = model.predict(ids, verbose=0)
    model.save(tmp_path / "tied.nnf")
    loaded = nnfast.load_model(tmp_path / "tied.nnf")
    assert loaded.count_params() == model.count_params()
    assert loaded.predict(ids, verbose=0).tobytes() == wanted.tobytes()


# Generation
def test_greedy_beam_and_sampled_generation():
    nnfast.set_random_seed(2)
    model = gpt()
    greedy = nnfast.generate(model, [[1, 2], [3, 4]], 12, verbose=0)
    assert greedy.shape == (2, 14) and greedy.dtype == np.int32
    assert np.array_equal(greedy, nnfast.generate(model, [[1, 2], [3, 4]], 12, cached=False, verbose=0))
    assert np.array_equal(greedy[1], nnfast.generate(model, [3, 4], 12, verbose=0))
    drawn = [nnfast.generate(model, [1], 15, temperature=1.0, top_k=5, top_p=0.9, seed=s, verbose=0) for s in (7, 7, 8)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(
        nnfast.generate(model, [1], 9, temperature=1.0, top_k=1, verbose=0), nnfast.generate(model, [1], 9, verbose=0)
    )


def test_a_full_beam_finds_the_most_probable_sequence():
    """With as many beams as there are sequences, search is exhaustive."""
    nnfast.set_random_seed(4)
    model = gpt(vocabulary=4, context=8)
    found = nnfast.generate(model, [1], 3, beams=16, verbose=0)
    best, best_score = None, -np.inf
    for code in range(64):
        tail = [code // 16, code // 4 % 4, code % 4]
        ids = np.array([[1, *tail, 0, 0, 0, 0]], np.int32)
        logp = nnfast.ops.log_softmax(model.predict(ids, verbose=0).astype(np.float64))[0]
        score = sum(logp[i, t] for i, t in enumerate(tail))
        if score > best_score:
            best, best_score = tail, score
    assert found[1:].tolist() == best


def test_generation_ends_and_goes_beyond_the_context():
    nnfast.set_random_seed(2)
    model = gpt(context=8)
    assert context_of(model) == 8
    long = nnfast.generate(model, [1, 2, 3], 30, verbose=0)
    assert long.shape == (33,)
    end = int(long[5])
    stopped = nnfast.generate(model, [1, 2, 3], 30, end_token=end, verbose=0)
    assert len(stopped) == 3 + list(long[3:]).index(end) + 1


def test_probabilities_are_cut():
    logits = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
    np.testing.assert_allclose(probabilities(logits, 1.0, top_k=2), [[0.625, 0.375, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, 1.0, top_p=0.79), [[0.625, 0.375, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, 1.0, top_p=0.1), [[1, 0, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, 0.5)[0], np.square([0.5, 0.3, 0.15, 0.05]) / 0.365)


def flattened():
    return nnfast.Sequential([nnfast.Input((8,), dtype="int32"), layers.Embedding(4, 4), layers.Flatten()])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.Embedding(0, 3), ValueError, "input_dim must be a positive integer"),
        (lambda: layers.EmbeddingBag(3, 3, mode="median"), ValueError, "'mean', 'sum' or 'max'"),
        (lambda: layers.MultiHeadAttention(2, 4, dropout=1.0), ValueError, "0 <= dropout < 1"),
        (lambda: layers.MultiHeadAttention(2, 4, attention_axes=(2, 3)), ValueError, "only the middle"),
        (lambda: layers.GroupedQueryAttention(4, 4, 3), ValueError, "multiple"),
        (lambda: layers.TransformerEncoder(4, 3)(np.ones((1, 2, 8), "float32")), ShapeError, "num_heads=3"),
        (lambda: layers.PositionEmbedding(2)(np.ones((1, 3, 4), "float32")), ShapeError, "at most sequence_length=2"),
        (lambda: nnfast.ops.dot_product_attention(*[np.ones((1, 2, 3))] * 3), ShapeError, "batch, length, heads"),
        (lambda: nnfast.generate(gpt(), [1.5], 3), DataError, "whole numbers"),
        (lambda: nnfast.generate(gpt(), [1], 3, top_k=3), ValueError, "temperature > 0"),
        (lambda: nnfast.generate(flattened(), [1], 3, verbose=0), NnfastError, "logits"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", ["dot", "concat", "additive"])
def test_attention_without_projections(kind):
    """The formulas in NumPy, with a mask, a causal mask and scores; gradients by differences of PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    query, value, key = (RNG.standard_normal((2, 4, n)) for n in (5, 3, 5))
    keep = np.array([[1, 1, 0, 1], [1, 1, 1, 1.0]])
    layer = (
        layers.AdditiveAttention(dtype="float64")
        if kind == "additive"
        else layers.Attention(True, kind, dtype="float64")
    )
    y, scores = layer([query, value, key], mask=[None, keep], return_attention_scores=True, use_causal_mask=True)
    weights = [torch.tensor(w) for w in layer.get_weights()]
    q, v, k = (torch.tensor(x, requires_grad=True) for x in (query, value, key))
    summed = q[:, :, None] + k[:, None]
    if kind == "dot":
        raw = (q @ k.transpose(1, 2)) * weights[0]
    else:
        raw = torch.tanh(summed).mul(weights[0]).sum(-1) * (weights[1] if kind == "concat" else 1.0)
    hidden = torch.tensor(keep == 0)[:, None] | torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    p = raw.masked_fill(hidden, -torch.inf).softmax(-1)
    np.testing.assert_allclose(scores, p.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(y, (p @ v).detach().numpy(), rtol=1e-12)
    (p @ v).square().sum().backward()
    _, gradients = nnfast.value_and_grad(
        lambda q, v, k: nnfast.ops.sum(nnfast.ops.square(layer([q, v, k], mask=[None, keep], use_causal_mask=True)))
    )(query, value, key)
    for found, tensor in zip(gradients, (q, v, k), strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-10, atol=1e-13)
