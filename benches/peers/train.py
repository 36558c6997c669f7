"""The peer of `train`: tokens per second of a training step of transformers on the same weights and prompts, as a line of JSON.

The same step: every token of the prompts is learnt, AdamW with betas 0.9 and 0.95 and a rate that falls from 1e-4 to nothing,
gradients bounded to a norm of 1, f32. `--sdpa` and `--eager` are transformers' own attentions; the default is its choice.
"""
import argparse
import json
import resource
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=128)
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.set_num_threads(options.threads)
model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).train()
vocabulary = model.config.vocab_size
rows = [
    [4 + (i * i * 31 + i * 17 + index * 7919) % (vocabulary - 4) for i in range(options.length)]
    for index in range(options.batch)
]
ids = torch.tensor(rows)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
seconds, losses = [], []
for step in range(options.steps):
    start = time.perf_counter()
    for group in optimizer.param_groups:
        group["lr"] = 1e-4 * (options.steps - step) / options.steps
    optimizer.zero_grad()
    logits = model(ids[:, :-1], use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    losses.append(loss.item())
    seconds.append(time.perf_counter() - start)
rest = sorted(seconds[1:] or seconds)
median = rest[len(rest) // 2]
print(json.dumps({
    "tokens_per_second": options.batch * options.length / median, "seconds": median, "all_steps": seconds, "losses": losses,
    "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "peer": f"transformers {transformers.__version__}, torch {torch.__version__}, {model.config._attn_implementation}",
}))
