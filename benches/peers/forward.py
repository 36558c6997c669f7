"""The peer of `forward`: tokens per second of transformers on the same weights and prompts, as a line of JSON.

Every token is scored from the logits, as lm-evaluation-harness does: log_softmax, then gather. On the CPU the rate of torch's plain products, 1024
x 1024 by 1024 x 1024, is measured too. Where torch has no kernel for bf16 (without AVX-512 it multiplies in a plain loop, a hundredth as fast), the
model is not run, and `tokens_per_second` is null.
"""
import argparse
import json
import re
import subprocess
import sys
import time

import torch
import transformers
from prompts import prompts
from transformers import AutoModelForCausalLM

# One model in bf16 takes minutes if its products are this much slower than those in f32.
TOO_SLOW = 0.2


def median_seconds(run, turns, enough=float("inf")):
    """The median of `turns` runs; no more of them are begun once they have taken `enough` seconds."""
    seconds = []
    while len(seconds) < turns and sum(seconds) < enough:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]


def product_gflops(dtype, size=1024):
    """GFLOP/s of a plain product of square matrices."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2 * size**3 / median_seconds(lambda: a @ b, turns=40, enough=1.0) / 1e9


def instruction_set():
    """What torch's own loops and oneDNN say that they use; oneDNN says it only in its log."""
    code = "import torch; torch.zeros(64, 64).to_mkldnn().to_dense()"
    log = subprocess.run(["env", "ONEDNN_VERBOSE=1", sys.executable, "-c", code], capture_output=True, text=True).stdout
    onednn = re.search(r"cpu,isa:(.*)", log)
    return f"ATen {torch.backends.cpu.get_cpu_capability()}, oneDNN {onednn[1] if onednn else 'unknown'}"


def score(model, ids):
    """The log-likelihood of each row's tokens behind the first."""
    with torch.inference_mode():
        logits = model(ids[:, :-1], use_cache=False).logits.float()
        log_probabilities = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])
        return log_probabilities.sum((1, 2)).cpu()


def run_model(options, dtype):
    """Speed and scores of the model."""
    model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=dtype).to(options.device).eval()
    ids = torch.tensor(prompts(options.batch, options.length, model.config.vocab_size), device=options.device)
    scores = score(model, ids)
    median = median_seconds(lambda: score(model, ids), options.turns)
    return {
        "tokens_per_second": options.batch * (options.length - 1) / median, "seconds": median, "log_likelihood": scores[0].item(),
        "peer": f"transformers {transformers.__version__}, torch {torch.__version__}, {model.config._attn_implementation}",
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    line = {"dtype": options.dtype, "tokens_per_second": None}
    has_kernel = True
    if options.device == "cpu":
        line["product_gflops"], line["instruction_set"] = product_gflops(torch.float32), instruction_set()
        if dtype != torch.float32:
            line["own_product_gflops"] = product_gflops(dtype)
            has_kernel = line["own_product_gflops"] > TOO_SLOW * line["product_gflops"]
    if has_kernel:
        line |= run_model(options, dtype)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
