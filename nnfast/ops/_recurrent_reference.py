"""The definition of the recurrent ops in NumPy: a loop over time, float32 computed in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, np.exp(-np.abs(x)), 1.0) / (1.0 + np.exp(-np.abs(x)))


def _wide(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [a.astype(np.float64) for a in arrays]


def _order(length: int, backwards: bool) -> list[int]:
    return list(range(length))[:: -1 if backwards else 1]


def forward_of(cell: str) -> Callable[..., Arrays]:
    return partial(forward, cell)


def gradient_of(cell: str) -> Callable[..., Arrays]:
    return partial(_gradient, cell)


def forward(
    cell: str, *arrays: np.ndarray, given: Sequence[str], backwards: bool, keep: bool, activation: str = "tanh"
) -> Arrays:
    """The outputs, the last states; with `keep` what gradients read."""
    dtype = arrays[0].dtype
    xw, w, *others = _wide(arrays)
    named = dict(zip(given, others, strict=True))
    batch, length, _ = xw.shape
    units = w.shape[0]
    h = named.get("h0", np.zeros((batch, units)))
    c = named.get("c0", np.zeros((batch, units)))
    mask = named.get("mask", np.ones((batch, length))) != 0
    factor = named.get("dropout", np.ones((batch, units)))
    y, h_before, c_before = (np.zeros((batch, length, units)) for _ in range(3))
    gates = np.zeros((batch, length, 4 * units))
    for t in _order(length, backwards):
        keeps = mask[:, t, None]
        h_before[:, t], c_before[:, t] = h * factor, c
        s = h_before[:, t] @ w + named.get("bias", 0.0)
        x = xw[:, t]
        if cell == "lstm":
            i, f, g, o = np.split(x + s, 4, axis=1)
            i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
            new_c = f * c + i * g
            new_h = o * np.tanh(new_c)
            c = np.where(keeps, new_c, c)
            gates[:, t] = np.concatenate([i, f, g, o], axis=1) * keeps
        elif cell == "gru":
            (xz, xr, xn), (sz, sr, sn) = np.split(x, 3, axis=1), np.split(s, 3, axis=1)
            z, r = _sigmoid(xz + sz), _sigmoid(xr + sr)
            n = np.tanh(xn + r * sn)
            new_h = n + z * (h - n)
            gates[:, t] = np.concatenate([z, r, n, sn], axis=1) * keeps
        else:
            new_h = np.tanh(x + s) if activation == "tanh" else np.maximum(x + s, 0.0)
        h = np.where(keeps, new_h, h)
        y[:, t] = h
    results = [y, h, c] if cell == "lstm" else [y, h]
    if keep:
        results += {"lstm": [h_before, c_before, gates], "gru": [h_before, gates], "simple_rnn": [h_before]}[cell]
    return tuple(result.astype(dtype) for result in results)


def _gradient(
    cell: str, *arrays: np.ndarray, given: Sequence[str], backwards: bool, activation: str = "tanh"
) -> Arrays:
    """Gradients of xw, of the initial states, and for gru of h w."""
    dtype = arrays[0].dtype
    wt, *others = _wide(arrays)
    named: dict[str, Any] = dict(zip(given, others, strict=True))
    shaped = named["gates"] if "gates" in named else named["y"]
    batch, length = shaped.shape[:2]
    units = wt.shape[1]
    zeros = np.zeros((batch, units))
    dh, dc = named.get("dh_last", zeros), named.get("dc_last", zeros)
    mask = named.get("mask", np.ones((batch, length))) != 0
    factor = named.get("dropout", np.ones((batch, units)))
    dx, dz = np.zeros((batch, length, wt.shape[0])), np.zeros((batch, length, wt.shape[0]))
    order = _order(length, backwards)
    tiny = 2.0**-100 if dtype == np.float32 else 2.0**-960
    for place in range(length - 1, -1, -1):
        t = order[place]
        keeps = mask[:, t, None]
        if "dy" in named:
            dh = dh + named["dy"][:, t]
        dh = np.where(np.abs(dh) < tiny, 0.0, dh)
        carried = 0.0
        if cell == "lstm":
            i, f, g, o = np.split(named["gates"][:, t], 4, axis=1)
            c_before = named["c_before"][:, t]
            tanh_c = np.tanh(f * c_before + i * g)
            dct = dc + dh * o * (1 - tanh_c**2)
            dct = np.where(np.abs(dct) < tiny, 0.0, dct)
            parts = [
                dct * g * i * (1 - i),
                dct * c_before * f * (1 - f),
                dct * i * (1 - g**2),
                dh * tanh_c * o * (1 - o),
            ]
            dx[:, t] = np.concatenate(parts, axis=1) * keeps
            dz[:, t] = dx[:, t]
            dc = np.where(keeps, dct * f, dc)
        elif cell == "gru":
            z, r, n, sn = np.split(named["gates"][:, t], 4, axis=1)
            before = named["y"][:, order[place - 1]] if place else named.get("h0", zeros)
            dn = dh * (1 - z) * (1 - n**2)
            d_update, d_reset = dh * (before - n) * z * (1 - z), dn * sn * r * (1 - r)
            dx[:, t] = np.concatenate([d_update, d_reset, dn], axis=1) * keeps
            dz[:, t] = np.concatenate([d_update, d_reset, dn * r], axis=1) * keeps
            carried = dh * z
        else:
            y = named["y"][:, t]
            dx[:, t] = dh * ((1 - y**2) if activation == "tanh" else (y > 0)) * keeps
            dz[:, t] = dx[:, t]
        dh = np.where(keeps, carried, dh) + (dz[:, t] @ wt) * factor
    last = {"lstm": [dc], "gru": [dz], "simple_rnn": []}[cell]
    return tuple(result.astype(dtype) for result in (dx, dh, *last))
