"""Gradient accumulation: one update from several batches, against PyTorch; schedules, clipping, files, receipts and threads."""

import numpy as np
import pytest
import torch

import nnfast
from nnfast import layers, optimizers

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((44, 6)), RNG.standard_normal((44, 2))
CLIP = {
    "nothing": {},
    "clipnorm": {"clipnorm": 0.3},
    "clipvalue": {"clipvalue": 0.02},
    "global_clipnorm": {"global_clipnorm": 0.3},
}
MAKERS = {
    "SGD": (lambda **o: optimizers.SGD(0.05, momentum=0.9, **o), lambda w: torch.optim.SGD(w, 0.05, momentum=0.9)),
    "Adam": (lambda **o: optimizers.Adam(0.01, **o), lambda w: torch.optim.Adam(w, 0.01, eps=1e-7)),
    "AdamW": (
        lambda **o: optimizers.AdamW(0.01, weight_decay=0.1, **o),
        lambda w: torch.optim.AdamW(w, 0.01, eps=1e-7, weight_decay=0.1),
    ),
}


def made(optimizer, dtype="float64", dropout=0.0):
    nnfast.set_random_seed(1)
    model = nnfast.Sequential(
        [nnfast.Input((6,), dtype=dtype), layers.Dense(20, "tanh"), layers.Dropout(dropout), layers.Dense(2)]
    )
    model.compile(optimizer, "mse")
    return model


def torch_weights(start, optimizer_of, every, epochs, clip, rate=None):
    """Weights after the same training, with 8 rows in a batch and 4 in the last."""
    ws = [torch.tensor(w, requires_grad=True) for w in start]
    optimizer = optimizer_of(ws)
    batches = [slice(b, b + 8) for b in range(0, 44, 8)] * epochs
    for i, rows in enumerate(batches):
        out = torch.tanh(torch.tensor(X[rows]) @ ws[0] + ws[1]) @ ws[2] + ws[3]
        (((out - torch.tensor(Y[rows])) ** 2).mean() / every).backward()
        if (i + 1) % every:
            continue
        if rate is not None:
            optimizer.param_groups[0]["lr"] = rate(i // every)
        for group in [ws] if "global_clipnorm" in clip else [[w] for w in ws] if "clipnorm" in clip else []:
            norm = torch.sqrt(sum((w.grad**2).sum() for w in group))
            for w in group:
                w.grad *= min(1.0, 0.3 / float(norm))
        if "clipvalue" in clip:
            torch.nn.utils.clip_grad_value_(ws, 0.02)
        optimizer.step()
        optimizer.zero_grad()
    return [w.detach().numpy() for w in ws]


@pytest.mark.parametrize("clip", CLIP)
@pytest.mark.parametrize("kind", MAKERS)
def test_as_in_pytorch(kind, clip):
    ours, theirs = MAKERS[kind]
    model = made(ours(gradient_accumulation_steps=4, **CLIP[clip]))
    start = model.get_weights()
    model.fit(
        X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0
    )  # 24 batches, 6 updates, across the ends of epochs
    for found, wanted in zip(model.get_weights(), torch_weights(start, theirs, 4, 4, CLIP[clip]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert model.state.iteration == 24


def test_a_schedule_counts_updates():
    model = made(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5), gradient_accumulation_steps=3))
    start = model.get_weights()
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    wanted = torch_weights(start, lambda w: torch.optim.SGD(w, 0.1), 3, 2, {}, lambda update: 0.1 * 0.5**update)
    for found, weight in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_allclose(found, weight, rtol=1e-12, atol=1e-14)


def test_weights_change_with_every_third_batch_only_and_a_batch_by_itself_is_the_same():
    """fit, and train_on_batch in its long and its short way."""
    fitted = made(optimizers.Adam(gradient_accumulation_steps=3), "float32", 0.3)
    fitted.fit(X[:40], Y[:40], batch_size=8, epochs=3, shuffle=False, verbose=0)
    single = made(optimizers.Adam(gradient_accumulation_steps=3), "float32", 0.3)
    before, changes = single.get_weights(), []
    for i in range(15):
        rows = slice(8 * (i % 5), 8 * (i % 5) + 8)
        single.train_on_batch(np.ascontiguousarray(X[rows]), np.ascontiguousarray(Y[rows]))
        now = single.get_weights()
        changes.append(any((a != b).any() for a, b in zip(now, before, strict=True)))
        before = now
    assert changes == [False, False, True] * 5
    assert all((a == b).all() for a, b in zip(fitted.get_weights(), before, strict=True))
    assert len(single._compiled.quick.calls["train"]) == len(single._compiled.quick.calls["accumulate"]) == 1


def test_files_threads_and_receipts(tmp_path):
    """A file from the middle of an update goes on to the same bits, on another number of threads."""
    data = {"x": X.astype("float32"), "y": Y.astype("float32")}
    options = {"batch_size": 8, "epochs": 3, "verbose": 0}

    def optimizer():
        return optimizers.AdamW(gradient_accumulation_steps=4, global_clipnorm=1.0)

    class Save(nnfast.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.save(tmp_path / f"{self.model.state.iteration}.nnf")

    whole = made(optimizer(), "float32", 0.3)
    whole.fit(data["x"], data["y"], callbacks=[Save()], **options)
    for at in (1, 6, 7, 8):
        again = made(optimizer(), "float32", 0.3) if at % 2 else nnfast.load_model(tmp_path / f"{at}.nnf")
        with nnfast.num_threads(2):
            again.fit(data["x"], data["y"], resume_from=tmp_path / f"{at}.nnf", **options)
        a, b = (model.state.tensors(model.weights) for model in (whole, again))
        assert any(name.endswith("gradient_sum") for name in a)
        assert all((a[name] == b[name]).all() for name in a if name != "counters"), at
        assert all((v == w).all() for v, w in zip(whole.get_weights(), again.get_weights(), strict=True)), at
    receipted = made(optimizer(), "float32", 0.3)
    receipted.fit(data["x"], data["y"], receipt=tmp_path / "run.json", **options)
    assert nnfast.verify(tmp_path / "run.json", data)["equal"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_table_whose_gradients_are_added_row_by_row(dtype):
    """The sum is that of the dense gradients; rows that no batch names keep their weights."""
    ids, labels = RNG.integers(0, 50, (24, 3)), RNG.standard_normal((24, 2))

    def table(**options):
        nnfast.set_random_seed(2)
        model = nnfast.Sequential(
            [
                nnfast.Input((3,), dtype="int32"),
                layers.Embedding(200, 4, dtype=dtype),
                layers.Flatten(),
                layers.Dense(2),
            ]
        )
        model.compile(optimizers.SGD(0.1, **options), "mse")
        return model

    one, several = table(), table(gradient_accumulation_steps=3)
    one.fit(ids, labels, batch_size=24, epochs=2, shuffle=False, verbose=0)
    several.fit(ids, labels, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert "sparse_update_sgd" in str(several.plan(8, "accumulate"))
    start = table().get_weights()[0]
    for a, b in zip(one.get_weights(), several.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == "float32" else 1e-11)
    rest = np.setdiff1d(np.arange(200), ids)
    assert (several.get_weights()[0][rest] == start[rest]).all()


def test_both_plans_share_an_arena():
    """Accumulation is there to save memory."""
    model = made(optimizers.AdamW(gradient_accumulation_steps=3, clipnorm=1.0), "float32", 0.3)
    model.fit(X, Y, batch_size=8, verbose=0)
    arenas = {}
    for key, step in model._compiled.steps.items():
        arenas.setdefault(key[1], set()).add(id(step.plan.arena))
    assert [len(found) for found in arenas.values()] == [1] * 2
    assert len(model._compiled.steps) == 3  # the smaller batch is the sixth, which updates


@pytest.mark.parametrize("steps", [0, 1, -3, 2.0, True, "2"])
def test_a_wrong_number_of_steps(steps):
    with pytest.raises(ValueError, match="gradient_accumulation_steps=.*an integer of at least 2"):
        optimizers.Adam(gradient_accumulation_steps=steps)


def test_saved_only_where_it_is_used():
    assert "gradient_accumulation_steps" not in optimizers.Adam().get_config()
    again = optimizers.SGD.from_config(optimizers.SGD(gradient_accumulation_steps=5).get_config())
    assert again.gradient_accumulation_steps == 5
