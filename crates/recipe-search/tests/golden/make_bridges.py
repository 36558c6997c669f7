"""Makes bridges.safetensors: activations of a made-up model, and its bridges by plain least squares in float64.

    python make_bridges.py        # numpy 2.4, safetensors 0.8

Of 4 layers; hidden 10, 24 inner activations; 9 sequences, of which the fifth is held back. Position 0 is an attention
sink from layer 1 on: its stream is 300 times as long as others. Nothing is taken from the Rust code: sums are never
formed, each fit is numpy's `lstsq` on the tokens themselves, the ridge as further rows.

    stream.K [tokens, hidden]       the residual stream before layer K (4: after the last one)
    inner.K [tokens, intermediate]  the inner activations of layer K
    down_proj.K [hidden, intermediate]
    lengths                         tokens of each sequence
    ridges
    METHOD.AFTER.LENGTH.delta       refit, replaceme: the change of down_proj, float64
    METHOD.AFTER.LENGTH.errors      for each ridge, on the tokens held back
    METHOD.AFTER.LENGTH.ridge       the one that was chosen
    scale.AFTER.LENGTH              the scale
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

LAYERS, HIDDEN, INNER, EVERY, SINK = 4, 10, 24, 5, 300.0
LENGTHS = [13, 30, 21, 17, 25, 9, 28, 19, 30]
RIDGES = [0.001, 0.01, 0.1]

random = np.random.default_rng(7)
tokens = sum(LENGTHS)
position = np.concatenate([np.arange(length) for length in LENGTHS])
sequence = np.concatenate([np.full(length, i) for i, length in enumerate(LENGTHS)])
held_back = sequence % EVERY == EVERY - 1

stream, inner, down = [random.normal(size=(tokens, HIDDEN))], [], []
for layer in range(LAYERS):
    x = stream[-1] / np.linalg.norm(stream[-1], axis=1, keepdims=True) * np.sqrt(HIDDEN)
    gate, up = (x @ random.normal(size=(HIDDEN, INNER)) / np.sqrt(HIDDEN) for _ in range(2))
    h = gate / (1 + np.exp(-gate)) * up
    w = random.normal(size=(HIDDEN, INNER)) * 0.15
    if layer == 1:
        h[position == 0, 5] = SINK
        w[:, 5] = random.normal(size=HIDDEN)
    attention = 0.3 * np.tanh(x @ random.normal(size=(HIDDEN, HIDDEN)) / np.sqrt(HIDDEN))
    stream.append(stream[-1] + attention + h @ w.T)
    inner.append(h)
    down.append(w)
stream, inner, down = ([a.astype(np.float32) for a in arrays] for arrays in (stream, inner, down))

out = {f"stream.{k}": x for k, x in enumerate(stream)}
out |= {f"inner.{k}": h for k, h in enumerate(inner)}
out |= {f"down_proj.{k}": w for k, w in enumerate(down)}
out["lengths"] = np.array(LENGTHS, dtype=np.float64)
out["ridges"] = np.array(RIDGES)


def least_squares(rows, target, ridge):
    """D of least |rows D - target|² + ridge mean(diag rowsᵀ rows) |D|²."""
    further = np.sqrt(ridge * (rows**2).sum() / rows.shape[1]) * np.eye(rows.shape[1])
    rows, target = np.vstack([rows, further]), np.vstack([target, np.zeros((len(further), target.shape[1]))])
    return np.linalg.lstsq(rows, target, rcond=None)[0]


def fit(rows, target):
    """The errors on the tokens held back, the best ridge, and D on all tokens with it."""
    errors = []
    for ridge in RIDGES:
        d = least_squares(rows[~held_back], target[~held_back], ridge)
        errors.append(((target - rows @ d)[held_back] ** 2).sum() / (target[held_back] ** 2).sum())
    best = RIDGES[int(np.argmin(errors))]
    return np.array(errors), np.array([best]), least_squares(rows, target, best)


for after in range(LAYERS - 1):
    for length in range(1, min(2, LAYERS - 1 - after) + 1):
        x, later = stream[after + 1].astype(np.float64), stream[after + 1 + length].astype(np.float64)
        root = 1 / np.linalg.norm(x, axis=1, keepdims=True)
        h, w = inner[after].astype(np.float64), down[after].astype(np.float64)
        m = h @ w.T
        for method, rows in (("refit", h), ("replaceme", m)):
            # ReplaceMe: m T nearest to later - (x - m), the ridge pulling T to the identity.
            errors, ridge, d = fit(root * rows, root * (later - x))
            name = f"{method}.{after}.{length}"
            out[f"{name}.errors"], out[f"{name}.ridge"] = errors, ridge
            out[f"{name}.delta"] = np.ascontiguousarray(d.T if method == "refit" else d.T @ w)
        a, b = (root * x).ravel(), (root * later).ravel()
        out[f"scale.{after}.{length}"] = np.array([a @ b / (a @ a)])

save_file(out, pathlib.Path(__file__).with_name("bridges.safetensors"))
for name in sorted(out):
    if name.endswith(("ridge", "errors")) or name.startswith("scale"):
        print(name, out[name])
