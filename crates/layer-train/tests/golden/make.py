"""Makes `gradients.safetensors` and `hidden.safetensors`: losses and gradients of the runtime's golden models by transformers and torch, float32 on a CPU.

    python make.py ../../../layer-runtime/tests/golden/models

For each model `NAME/loss`, and `NAME/TENSOR` with every 17th number of the gradient. Sequences and what is wanted of them are those of
`tests/gradients.rs`: of every third row half of the probability for the next token's lower neighbour of two, a fifth for the other, the rest for all
others; of the other rows the next token. In `hidden.safetensors`, of two models and with every 53rd number, the stream before the final norm is wanted
too, of every fourth row: `sin(0.37 row + 0.11 i)`.
"""
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

MODELS = ["llama-mha", "llama3-gqa-sharded-bf16", "mistral-window-headdim", "qwen2-tied-f16", "qwen3-qknorm-bf16"]
LENGTHS = [5, 70, 1, 123]
P = torch.tensor([0.5, 0.2])
REST = 0.3
WEIGHT = 0.01
HIDDEN_WEIGHT = 0.007
HIDDEN_MODELS = ["mistral-window-headdim", "qwen2-tied-f16"]


def sequence(number, length, vocabulary):
    return [(i * 7919 + number * 31 + i * i * 13) % vocabulary for i in range(length)]


def loss_of(model, vocabulary, hidden=False):
    loss, row, seen = 0.0, 0, []
    hook = model.model.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    for number, length in enumerate(LENGTHS):
        tokens = sequence(number, length, vocabulary)
        ln_q = torch.log_softmax(model(torch.tensor([tokens]), use_cache=False).logits[0], -1)
        for place in range(length - 1):
            following = tokens[place + 1]
            if (row + place) % 3 == 0:
                named = sorted([following, (following + 5) % vocabulary])
                others = torch.ones(vocabulary, dtype=torch.bool)
                others[named] = False
                ln_rest = torch.logsumexp(ln_q[place][others], 0)
                one = (P * (P.log() - ln_q[place][named])).sum() + REST * (torch.tensor(REST).log() - ln_rest)
            else:
                one = -ln_q[place, following]
            loss = loss + WEIGHT * one
            if hidden and (row + place) % 4 == 1:
                x = seen[number][place]
                t = torch.sin(0.37 * (row + place) + 0.11 * torch.arange(len(x), dtype=torch.float64)).float()
                loss = loss + HIDDEN_WEIGHT * ((x - t) ** 2).sum() / (t**2).sum()
        row += length
    hook.remove()
    return loss


def save(name, found):
    save_file(found, name, {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}"})


found, found_hidden = {}, {}
for name in MODELS:
    folder = Path(sys.argv[1]) / name
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    # torch gives the padding token's row no gradient.
    model.get_input_embeddings().padding_idx = None
    for found_here, hidden, step in [(found, False, 17), (found_hidden, True, 53)]:
        if hidden and name not in HIDDEN_MODELS:
            continue
        model.zero_grad()
        loss = loss_of(model, model.config.vocab_size, hidden)
        loss.backward()
        found_here[f"{name}/loss"] = loss.detach().reshape(1)
        for tensor, parameter in model.named_parameters():
            found_here[f"{name}/{tensor}"] = parameter.grad.flatten()[::step].clone()
save("gradients.safetensors", found)
save("hidden.safetensors", found_hidden)
