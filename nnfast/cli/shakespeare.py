"""`nnfast demo shakespeare`: train a small GPT on the characters of Shakespeare's plays and let it write.

In: seed, number of steps, a folder. Out: progress, the validation loss beside that of counted characters, a saved model and new text.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import nnfast
from nnfast import datasets, layers, schedules

CONTEXT, WIDTH, DEPTH, HEADS, BATCH = 64, 128, 4, 4, 12
STEPS, WARMUP, RATE = 2000, 100, 2e-3
LETTERS = 500  # that are written
ORDER = 5  # characters before, that the baseline looks at


def run(steps: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, write, save, print; returns 0."""
    steps = steps or STEPS
    train, validation, characters = datasets.load_shakespeare()
    model = make_model(len(characters), steps, seed)
    if not as_json:
        print(f"Tiny Shakespeare: {len(train):,} characters for training, {len(validation):,} held out")
        print(
            f"GPT of {DEPTH} layers, width {WIDTH}, {HEADS} heads, context {CONTEXT}, {model.count_params():,} weights; {steps} steps of {BATCH}; seed {seed}"
        )
    begin = time.perf_counter()
    # rows are views of one text: nothing is copied
    x, y = sliding_window_view(train[:-1], CONTEXT), sliding_window_view(train[1:], CONTEXT)
    model.fit(x, y, batch_size=BATCH, steps_per_epoch=steps, verbose=0 if as_json else "auto")
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    start = np.array([characters.index("\n")], np.int32)
    made = nnfast.generate(model, start, LETTERS, temperature=0.8, top_k=20, seed=seed, verbose=0)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "shakespeare.nnf")
    facts = {
        "data": "shakespeare",
        "steps": steps,
        "batch_size": BATCH,
        "seed": seed,
        "threads": nnfast.get_num_threads(),
        "seconds": round(seconds, 3),
        "step_milliseconds": round(seconds / steps * 1e3, 3),
        "milliseconds_per_letter": round((time.perf_counter() - begin) / LETTERS * 1e3, 3),
        "validation_loss": validation_loss(model, validation),
        "counted_characters": counted_loss(train, validation, len(characters)),
        "model": str(folder / "shakespeare.nnf"),
        "text": "".join(characters[i] for i in made[1:]),
    }
    print(json.dumps(facts, indent=2)) if as_json else _report(facts)
    return 0


def make_model(kinds: int, steps: int, seed: int) -> Any:
    """The GPT, compiled with AdamW: the rate rises for 100 steps and falls to a tenth along a cosine."""
    nnfast.set_random_seed(seed)
    tokens = nnfast.Input((CONTEXT,), dtype="int32")
    x = layers.Embedding(kinds, WIDTH, nnfast.initializers.RandomNormal(stddev=0.02))(tokens)
    places = layers.PositionEmbedding(CONTEXT, nnfast.initializers.RandomNormal(stddev=0.02))
    x = layers.Add()([x, places(x)])
    for _ in range(DEPTH):
        x = layers.TransformerDecoder(4 * WIDTH, HEADS, activation="gelu", normalize_first=True)(x)
    logits = layers.Dense(kinds, use_bias=False)(layers.LayerNormalization()(x))
    model = nnfast.Model(tokens, logits)
    warmup = min(WARMUP, steps // 2)
    rate = schedules.CosineDecay(0.0, max(steps - warmup, 1), alpha=0.1, warmup_target=RATE, warmup_steps=warmup)
    model.compile(
        optimizer=nnfast.optimizers.AdamW(rate, beta_2=0.99, weight_decay=0.1),
        loss=nnfast.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def validation_loss(model: Any, text: Any) -> float:
    """Nats per character on the held-out text, cut into contexts that follow each other: the first characters of each know little."""
    rows = (len(text) - 1) // CONTEXT
    x, y = (text[i : i + rows * CONTEXT].reshape(rows, CONTEXT) for i in (0, 1))
    return float(model.evaluate(x, y, batch_size=128, verbose=0))


def counted_loss(train: Any, text: Any, kinds: int) -> float:
    """Nats per character of counted characters: what followed the last 5 ones in training, mixed with what followed fewer of them.

    With n(c) of the followers of a context and t kinds among them: p(c) = (n(c) + t p'(c)) / (sum n + t), p' of the context that is
    one shorter (Witten and Bell 1991).
    """
    probability = np.full(len(text) - ORDER, 1 / kinds)
    for order in range(ORDER + 1):
        context, known = (_codes(x, order, kinds) for x in (text, train))
        pairs, counts = np.unique(known * kinds + train[ORDER:], return_counts=True)
        contexts, first, totals = np.unique(pairs // kinds, return_index=True, return_counts=True)
        sums = np.add.reduceat(counts, first)
        at, wanted = np.searchsorted(contexts, context), context * kinds + text[ORDER:]
        at = np.minimum(at, len(contexts) - 1)
        seen = contexts[at] == context
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        count = np.where(pairs[place] == wanted, counts[place], 0)
        mixed = (count + totals[at] * probability) / (sums[at] + totals[at])
        probability = np.where(seen, mixed, probability)
    return float(-np.log(probability).mean())


def _codes(text: Any, order: int, kinds: int) -> Any:
    """The `order` characters before each place from ORDER on, as one number."""
    codes = np.zeros(len(text) - ORDER, np.int64)
    for i in range(order, 0, -1):
        codes = codes * kinds + text[ORDER - i : len(text) - i]
    return codes


def _report(facts: dict[str, Any]) -> None:
    print(f"\n{facts['text']}\n")
    print(
        f"loss on held-out text     {facts['validation_loss']:.3f} nats per character, after {facts['seconds']:.0f} s"
    )
    print(f"counted characters        {facts['counted_characters']:.3f}, from the {ORDER} before")
    print(f"training step             {facts['step_milliseconds']:.1f} ms")
    print(f"model                     {facts['model']}")
