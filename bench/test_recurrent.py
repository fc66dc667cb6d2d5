"""Training steps and predictions of recurrent nets: 100 steps of 32 features, then 10 classes; beside PyTorch, where it is installed.

pytest bench/test_recurrent.py --benchmark-only --benchmark-group-by=group
"""

import numpy as np
import pytest

import nnfast
from nnfast import layers

LENGTH, FEATURES, CLASSES = 100, 32, 10
KINDS = {"lstm": (layers.LSTM, "LSTM"), "gru": (layers.GRU, "GRU"), "simple_rnn": (layers.SimpleRNN, "RNN")}
CASES = [
    *((kind, 128, 32, "plain") for kind in KINDS),
    *(("lstm", units, batch, "plain") for units in (32, 512) for batch in (1, 8, 128)),
    ("lstm", 128, 32, "bidirectional"),
    ("lstm", 128, 32, "two layers"),
]


def rows(batch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, LENGTH, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, batch)


def nnfast_calls(kind, units, batch, form):
    made = [KINDS[kind][0](units, return_sequences=form == "two layers")]
    if form == "bidirectional":
        made = [layers.Bidirectional(made[0])]
    if form == "two layers":
        made.append(KINDS[kind][0](units))
    model = nnfast.Sequential([nnfast.Input((LENGTH, FEATURES)), *made, layers.Dense(CLASSES)])
    model.compile(nnfast.optimizers.Adam(1e-6), nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = rows(batch)
    return lambda: model.train_on_batch(x, y), lambda: model.predict(x, verbose=0)


def torch_calls(kind, units, batch, form):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(nnfast.get_num_threads())
    both = form == "bidirectional"
    net = getattr(torch.nn, KINDS[kind][1])(
        FEATURES, units, batch_first=True, bidirectional=both, num_layers=2 if form == "two layers" else 1
    )
    head = torch.nn.Linear(units * (1 + both), CLASSES)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], 1e-6, fused=True)
    x, y = (torch.tensor(array) for array in rows(batch))

    def train():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(net(x)[0][:, -1]), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict():
        with torch.inference_mode():
            return head(net(x)[0][:, -1])

    return train, predict


@pytest.mark.parametrize("library", [nnfast_calls, torch_calls], ids=["nnfast", "torch"])
@pytest.mark.parametrize("work", [0, 1], ids=["train", "predict"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_recurrent(benchmark, case, work, library):
    benchmark.group = f"{case} {work}"
    call = library(*case)[work]
    call()
    benchmark(call)
