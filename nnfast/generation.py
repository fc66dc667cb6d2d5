"""Text from a model of the next token: greedy, sampled (temperature, top-k, top-p), or the best of several beams.

In: a model of numbers (batch, length) to logits (batch, length, vocabulary), and how sequences begin. Out: the sequences, gone on with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnfast import ops, random
from nnfast.decoding import Decoder, context_of
from nnfast.errors import DataError

Array = np.ndarray


def generate(
    model: Any,
    prompt: Any,
    max_new_tokens: int = 100,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beams: int = 1,
    length_penalty: float = 1.0,
    end_token: int | None = None,
    context: int | None = None,
    cached: bool | None = None,
    seed: int | None = None,
    verbose: Any = "auto",
    callback: Callable[[Array], None] | None = None,
) -> Array:
    """Go on with sequences of numbers, token by token.

    prompt: numbers, (length,) or (batch, length) with at least one. Returns int32 of the prompt's shape and up to max_new_tokens more
    places; behind an end_token a sequence is filled with it.

    temperature: 0 takes the most probable token (greedy), else tokens are drawn from softmax(logits / temperature). top_k: only from
    the k most probable ones. top_p: only from the fewest whose probabilities add up to p (Holtzman et al. 2020). beams: keep so many
    sequences at each step and return the one with the greatest log-probability / length^length_penalty; with temperature 0.
    context: most places the model sees, by default what its PositionEmbedding knows, else all. When it is full, the later half is kept.
    cached: keep keys and values of earlier tokens; by default where all layers of the model allow it. The bits are the same.
    seed: of the draws; nnfast's own by default. verbose: 0, 1, or "auto" for a bar on a terminal. callback: is given each new (batch,) of
    tokens as it is made (not with beams).

    Raises ValueError for settings out of range, DataError for prompts that are no whole numbers.

    >>> import nnfast
    >>> model = nnfast.Sequential([nnfast.Input((8,), dtype="int32"), nnfast.layers.Embedding(4, 4, "identity")])
    >>> generate(model, [2], 3).tolist()
    [2, 2, 2, 2]
    """
    _check(temperature, top_k, top_p, beams)
    tokens = np.asarray(prompt)
    if tokens.dtype.kind not in "iu" or tokens.ndim not in (1, 2) or not tokens.shape[-1]:
        raise DataError(
            f"generate(prompt of {tokens.dtype}{list(tokens.shape)}): expected whole numbers, (length,) or (batch, length), at least one each"
        )
    rows = np.atleast_2d(tokens).astype(np.int32)
    limit = context or context_of(model) or rows.shape[1] + max_new_tokens
    steps = _steps(max_new_tokens, verbose)
    decoder = Decoder(model, len(rows) * beams, limit, cached)
    if beams > 1:
        found = _beam_search(decoder, rows, steps, beams, length_penalty, end_token)
    else:
        choose = _chooser(temperature, top_k, top_p, seed)
        found = _one_by_one(decoder, rows, steps, choose, end_token, callback)
    return found if tokens.ndim == 2 else found[0]


def _check(temperature: float, top_k: int | None, top_p: float | None, beams: int) -> None:
    if not 0 <= temperature < np.inf:
        raise ValueError(f"generate(temperature={temperature!r}): expected a finite number >= 0; 0 is greedy")
    if top_k is not None and top_k < 1:
        raise ValueError(f"generate(top_k={top_k!r}): expected a positive integer, or None for all tokens")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"generate(top_p={top_p!r}): expected 0 < top_p <= 1, or None for all tokens")
    if beams < 1 or (beams > 1 and temperature > 0):
        raise ValueError(
            f"generate(beams={beams!r}, temperature={temperature!r}): beams >= 1, and beam search draws nothing"
        )
    if (top_k is not None or top_p is not None) and temperature == 0:
        raise ValueError("generate(top_k, top_p): greedy search takes the most probable token; give a temperature > 0")


def _steps(count: int, verbose: Any) -> Any:
    from tqdm import tqdm

    return tqdm(range(count), desc="tokens", disable=None if verbose == "auto" else not verbose)


def probabilities(logits: Array, temperature: float, top_k: int | None = None, top_p: float | None = None) -> Array:
    """What tokens are drawn from, float64 [batch, vocabulary]: softmax(logits / temperature), cut to top_k and top_p.

    Of equal logits the smaller number counts as more probable.

    >>> probabilities(np.array([[0.0, 0.0, -1e9]]), 1.0, top_k=2).tolist()
    [[0.5, 0.5, 0.0]]
    """
    p = ops.softmax(logits.astype(np.float64) / temperature)
    order = np.argsort(-p, -1, kind="stable")
    ranked = np.take_along_axis(p, order, -1)
    keep = np.ones_like(ranked, bool)
    if top_k is not None:
        keep[:, top_k:] = False
    if top_p is not None:
        before = np.cumsum(np.where(keep, ranked, 0), -1) - ranked
        keep &= before < top_p * np.where(keep, ranked, 0).sum(-1, keepdims=True)
    ranked = np.where(keep, ranked, 0)
    cut = np.zeros_like(p)
    np.put_along_axis(cut, order, ranked / ranked.sum(-1, keepdims=True), -1)
    return cut


def _chooser(temperature: float, top_k: int | None, top_p: float | None, seed: int | None) -> Callable[[Array], Array]:
    if temperature == 0:
        return lambda logits: np.asarray(ops.argmax(logits)).astype(np.int32)
    stream = random.next_stream() if seed is None else 0
    seed = random.global_seed() if seed is None else seed
    drawn = 0

    def choose(logits: Array) -> Array:
        nonlocal drawn
        sums = np.cumsum(probabilities(logits, temperature, top_k, top_p), -1)
        # numbers of a step are a function of seed, stream and step
        u = random.uniform((len(logits),), dtype="float64", seed=seed, stream=stream + (drawn << 16))
        drawn += 1
        below = sums <= u[:, None] * sums[:, -1:]
        return np.minimum(below.sum(-1), logits.shape[-1] - 1).astype(np.int32)

    return choose


def _one_by_one(
    decoder: Decoder, rows: Array, steps: Any, choose: Callable[[Array], Array], end: int | None, callback: Any
) -> Array:
    made = [rows]
    done = np.zeros(len(rows), bool)
    fed = rows
    for _ in steps:
        tokens = choose(decoder.feed(fed))
        if end is not None:
            tokens = np.where(done, end, tokens).astype(np.int32)
            done |= tokens == end
        made.append(tokens[:, None])
        if callback is not None:
            callback(tokens)
        if done.all():
            break
        fed = tokens[:, None]
    return np.concatenate(made, 1)


def _beam_search(decoder: Decoder, rows: Array, steps: Any, beams: int, penalty: float, end: int | None) -> Array:
    """All beams of all prompts are one batch; row b * beams + i is beam i of prompt b."""
    batch = len(rows)
    made = np.repeat(rows, beams, 0)
    scores = np.where(np.arange(beams) == 0, 0.0, -np.inf) * np.ones((batch, 1))  # one beam at first: all are equal
    lengths = np.ones((batch, beams))
    done = np.zeros((batch, beams), bool)
    fed = made
    for _ in steps:
        logp = ops.log_softmax(decoder.feed(fed).astype(np.float64)).reshape(batch, beams, -1)
        count = logp.shape[-1]
        if end is not None:  # a finished beam goes on with its end alone, which costs nothing
            stay = np.where(np.arange(count) == end, 0.0, -np.inf)
            logp = np.where(done[..., None], stay, logp)
        total = scores[..., None] + logp
        size = lengths + ~done
        ranked = (total / size[..., None] ** penalty).reshape(batch, -1)
        best = np.argsort(-ranked, -1, kind="stable")[:, :beams]
        parent, token = best // count, (best % count).astype(np.int32)
        scores = np.take_along_axis(total.reshape(batch, -1), best, -1)
        lengths = np.take_along_axis(size, parent, -1)
        done = np.take_along_axis(done, parent, -1)
        if end is not None:
            done |= token == end
        source = (parent + np.arange(batch)[:, None] * beams).ravel()
        made = np.concatenate([made[source], token.reshape(-1, 1)], 1)
        if done.all():
            break
        decoder.reorder(source)
        fed = token.reshape(-1, 1)
    chosen = np.argmax(scores / lengths**penalty, -1) + np.arange(batch) * beams
    return made[chosen]
