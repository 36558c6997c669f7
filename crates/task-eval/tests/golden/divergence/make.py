"""Makes cases.json: divergences and likelihoods of random models that look at the last token alone, by torch (2.15, float64).

    python make.py        # in a virtual environment with torch

`full` is torch's `kl_div` of the whole distributions; `top` its `kl_div` of the teacher's k most likely tokens and one bucket of the
others' probabilities; `nll` its `cross_entropy`. Each is the mean over a text's positions, `nll` over all but the last.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
VOCABULARY = 24
TEXTS = [[1, 5, 9, 5, 23, 0, 2], [3, 3], [17, 4, 11, 8]]
# How far apart the logits of a token are: nearly uniform, as models have them, nearly certain.
SPREADS = [0.1, 3.0, 20.0]


def bucketed(p, kept):
    """The probabilities of the kept tokens, and of the others as one more."""
    return torch.cat([p.gather(-1, kept), p.scatter(-1, kept, 0.0).sum(-1, keepdim=True)], -1)


def divergence(p, q):
    return F.kl_div(q.clamp_min(1e-300).log(), p, reduction="none").sum(-1).mean().item()


def case(spread):
    teacher, student = (torch.randn(VOCABULARY, VOCABULARY, dtype=torch.float32) * spread for _ in range(2))
    answer = {"teacher": teacher.tolist(), "student": student.tolist(), "texts": TEXTS, "full": [], "top": {}, "nll": []}
    for text in TEXTS:
        p, logits = teacher.double()[text].softmax(-1), student.double()[text]
        q = logits.softmax(-1)
        answer["full"].append(divergence(p, q))
        answer["nll"].append(F.cross_entropy(logits[:-1], torch.tensor(text[1:])).item())
        for k in (1, 2, 5, 12, VOCABULARY):
            kept = p.topk(k, -1).indices
            answer["top"].setdefault(str(k), []).append(divergence(bucketed(p, kept), bucketed(q, kept)))
    return answer


torch.manual_seed(7)
(HERE / "cases.json").write_text(json.dumps([case(spread) for spread in SPREADS]) + "\n")
