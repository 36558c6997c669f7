"""One row: the largest difference between transformers' logits of a checkpoint and ours. Fails above 5e-4."""
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

name, folder, ours = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
ours = load_file(ours)
worst = 0.0
for i in range(len(ours) // 2):
    with torch.no_grad():
        theirs = model(ours[f"ids.{i}"][None]).logits[0]
    worst = max(worst, (theirs - ours[f"logits.{i}"]).abs().max().item())
layers = model.config.num_hidden_layers
print(f"{name}: {type(model).__name__}, {layers} layers, transformers {transformers.__version__}: largest difference {worst:.1e}")
sys.exit(worst > 5e-4)
