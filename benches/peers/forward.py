"""The peer of `forward`: tokens per second of transformers on the same weights and prompts, as a line of JSON.

Every token is scored from the logits, as lm-evaluation-harness does: log_softmax, then gather.
"""
import argparse
import json
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--dtype", default="f32")
parser.add_argument("--device", default="cpu")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=256)
parser.add_argument("--turns", type=int, default=7)
options = parser.parse_args()

dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=dtype).to(options.device).eval()
vocabulary = model.config.vocab_size
rows = [
    [4 + (i * i * 31 + i * 17 + index * 7919) % (vocabulary - 4) for i in range(options.length)]
    for index in range(options.batch)
]
ids = torch.tensor(rows, device=options.device)


def score():
    with torch.inference_mode():
        logits = model(ids[:, :-1], use_cache=False).logits.float()
        log_probabilities = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])
        return log_probabilities.sum((1, 2)).cpu()


scores = score()
seconds = []
for _ in range(options.turns):
    start = time.perf_counter()
    score()
    seconds.append(time.perf_counter() - start)
median = sorted(seconds)[len(seconds) // 2]
print(json.dumps({
    "dtype": options.dtype, "tokens_per_second": options.batch * (options.length - 1) / median, "seconds": median,
    "log_likelihood": scores[0].item(),
    "peer": f"transformers {transformers.__version__}, torch {torch.__version__}, {model.config._attn_implementation}",
}))
