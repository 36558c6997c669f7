"""Bridges by numpy, and how far ours are from them; see bridges.sh.

    bridges.py text MODEL FILE.jsonl... TOKENS OUT.json    token ids of documents, by turns from each file
    bridges.py compare MODEL TEXT.json AFTER LENGTH RIDGES OURS [--o-proj]
    bridges.py same RECIPE.safetensors MODEL.safetensors   whether two files of logits are the same bits

Nothing is taken from the Rust code. No sums are formed: each fit is a QR decomposition of the tokens' rows themselves, the ridge as further rows,
in float64, on activations that `llama.py` computes in float64.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import numpy as np
from llama import Llama, tensors

EVERY = 5


def least_squares(rows, target, ridge):
    """D of least |rows D - target|^2 + ridge mean(diag rows^T rows) |D|^2."""
    further = np.sqrt(ridge * (rows**2).sum() / rows.shape[1]) * np.eye(rows.shape[1])
    q, r = np.linalg.qr(np.vstack([rows, further]))
    return np.linalg.solve(r, q[: len(rows)].T @ target)


def fit(inputs, stream, later, ridges):
    """Of lists of texts: D that brings `stream + inputs D` nearest to `later`, each token in shares of its stream's length.

    Returns what each ridge leaves of the error on every fifth text, held back, and D on all tokens with the best ridge.
    """
    held = np.concatenate([np.full(len(x), index % EVERY == EVERY - 1) for index, x in enumerate(stream)])
    inputs, stream, later = (np.concatenate(x) for x in (inputs, stream, later))
    root = 1 / np.linalg.norm(stream, axis=1, keepdims=True)
    rows, target = root * inputs, root * (later - stream)
    errors = []
    for ridge in ridges:
        d = least_squares(rows[~held], target[~held], ridge)
        errors.append(((target - rows @ d)[held] ** 2).sum() / (target[held] ** 2).sum())
    return np.array(errors), least_squares(rows, target, ridges[int(np.argmin(errors))])


def reference(model, texts, after, length, ridges, o_proj):
    """All bridges over one gap, by our names."""
    layers = model.config["num_hidden_layers"]
    before, middle, inner = [model.embed(texts)], [], None
    for layer in range(layers):
        _, attention, h, stream = model.forward(model.layer(layer), before[-1])
        before.append(stream)
        middle.append(attention)
        inner = h if layer == after else inner
    out, end = {}, after + 1 + length
    x, later, w = before[after + 1], before[end], model.layer(after)["mlp.down_proj.weight"]
    out["refit.delta.errors"], d = fit(inner, x, later, ridges)
    out["refit.delta"] = d.T
    # ReplaceMe: m T nearest to later - (x - m), the ridge pulling T to the identity.
    out["replaceme.delta.errors"], d = fit([h @ w.T for h in inner], x, later, ridges)
    out["replaceme.delta"] = d.T @ w
    a, b = (np.concatenate(each) / np.linalg.norm(np.concatenate(x), axis=1, keepdims=True) for each in (x, later))
    out["scale"] = np.array([(a * b).sum() / (a * a).sum()])

    kept = [layer for layer in range(layers) if not after < layer < end]
    stream = before[after]
    for place in range(after, len(kept)):
        w, name = model.layer(kept[place]), f"sequential.{place}"
        target = before[kept[place + 1]] if place + 1 < len(kept) else before[layers]
        if o_proj and place > after:
            attended, attention, _, _ = model.forward(w, stream)
            errors, d = fit(attended, attention, middle[kept[place]], ridges)
            out[f"{name}.o_proj.errors"], out[f"{name}.o_proj"] = errors, d.T
            if errors.min() < 1:
                w["self_attn.o_proj.weight"] = w["self_attn.o_proj.weight"] + d.T
        _, _, h, made = model.forward(w, stream)
        errors, d = fit(h, made, target, ridges)
        out[f"{name}.down_proj.errors"], out[f"{name}.down_proj"] = errors, d.T
        stream = [x + h @ d for x, h in zip(made, h)] if errors.min() < 1 else made
    return out


def compare(folder, text, after, length, ridges, ours, o_proj):
    ours = tensors(ours)
    theirs = reference(Llama(folder), text, after, length, ridges, o_proj)
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    worst = {}
    for name, array in theirs.items():
        off = np.abs(ours[name] - array).max() / np.abs(array).max()
        kind = name.split(".")
        kind = " ".join([kind[0], "errors" if kind[-1] == "errors" else (kind[2] if kind[0] == "sequential" else "delta")])
        worst[kind] = max(worst.get(kind, (0, "")), (off, name))
    print(f"{'bridge':24} {'off by, of the largest':>22}  worst at")
    for kind, (off, name) in worst.items():
        print(f"{kind:24} {off:22.1e}  {name}")
    bad = [kind for kind, (off, _) in worst.items() if off > 1e-4]
    sys.exit(f"further off than 1e-4: {bad}" if bad else 0)


def document(line):
    """A training document with its right answer, of whatever keys."""
    keys = json.loads(line)
    choices = keys.get("choices") or keys.get("endings")
    if isinstance(choices, list) and choices and "answer" in keys and isinstance(keys["answer"], int):
        start = next(value for value in keys.values() if isinstance(value, str))
        return f"{start} {choices[keys['answer']]}"
    return "\n".join(value for value in keys.values() if isinstance(value, str))


def text(folder, files, tokens, out):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    ids = []
    for lines in zip(*(pathlib.Path(file).read_text().splitlines() for file in files)):
        for line in lines:
            found = tokenizer.encode(document(line)).ids[:128]
            if found and tokens > 0:
                ids.append(found)
                tokens -= len(found)
    pathlib.Path(out).write_text(json.dumps(ids))


def main(command, *rest):
    if command == "text":
        text(rest[0], rest[1:-2], int(rest[-2]), rest[-1])
    elif command == "same":
        one, other = (pathlib.Path(path).read_bytes() for path in rest)
        sys.exit(0 if one == other else "the folded export computes other logits than the recipe")
    else:
        folder, ids, after, length, ridges, ours = rest[:6]
        ridges = [float(ridge) for ridge in ridges.split(",")]
        ids = json.loads(pathlib.Path(ids).read_text())
        compare(folder, ids, int(after), int(length), ridges, ours, "--o-proj" in rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
