"""Makes the files of this folder: one tiny Llama, saved by torch in every form, and what must be refused.

python make.py [MODEL OUT]: with a folder of safetensors and another folder, that model in the three forms instead.
Made with torch 2.15, safetensors 0.8.
"""

import collections
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10,
    "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "torch_dtype": "bfloat16", "bos_token_id": 1,
    "eos_token_id": 2,
}


def llama():
    """The tensors of a tiny Llama: norms in f32, one matrix in f16, the others in bf16."""
    torch.manual_seed(22)
    state = collections.OrderedDict()
    state["model.embed_tokens.weight"] = torch.randn(10, 8).bfloat16()
    for layer in range(2):
        shapes = {
            "self_attn.q_proj": (8, 8), "self_attn.k_proj": (4, 8), "self_attn.v_proj": (4, 8), "self_attn.o_proj": (8, 8),
            "mlp.gate_proj": (12, 8), "mlp.up_proj": (12, 8), "mlp.down_proj": (8, 12),
        }
        for name, shape in shapes.items():
            state[f"model.layers.{layer}.{name}.weight"] = torch.randn(*shape).bfloat16()
        for name in ["input_layernorm", "post_attention_layernorm"]:
            state[f"model.layers.{layer}.{name}.weight"] = 1 + torch.randn(8) / 8
    state["model.layers.1.mlp.down_proj.weight"] = state["model.layers.1.mlp.down_proj.weight"].half()
    state["model.norm.weight"] = torch.ones(8)
    state["lm_head.weight"] = torch.randn(10, 8).bfloat16()
    # As `Module.state_dict()` has it.
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state


def shards(state, folder):
    """Two files and their index; the first in the new form, the second in the old one."""
    names = list(state)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map = {}
    for at, half in enumerate(halves):
        file = f"pytorch_model-{at + 1:05}-of-00002.bin"
        torch.save({name: state[name] for name in half}, folder / file, _use_new_zipfile_serialization=at == 0)
        weight_map |= {name: file for name in half}
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


def forms(state, config, out):
    """The model in every form, and as safetensors to compare with."""
    for form in ["safetensors", "zip", "old", "sharded", "views"]:
        (out / form).mkdir(parents=True, exist_ok=True)
        (out / form / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(state, out / "safetensors" / "model.safetensors")
    torch.save(state, out / "zip" / "pytorch_model.bin")
    torch.save(state, out / "old" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    shards(state, out / "sharded")
    # The same numbers as parameters, as parts of larger storages, and in another order, by the newest pickles.
    odd = {}
    for at, (name, tensor) in enumerate(state.items()):
        if at % 3 == 0:
            tensor = torch.nn.Parameter(tensor)
        elif at % 3 == 1:
            tensor = torch.cat([torch.full_like(tensor, 7), tensor, torch.full_like(tensor, 9)])[tensor.shape[0] : -tensor.shape[0]]
        elif tensor.dim() == 2:
            tensor = tensor.t().contiguous().t()
        odd[name] = tensor
    torch.save(odd, out / "views" / "pytorch_model.bin", pickle_protocol=4)


class Command:
    """What a malicious file does."""

    def __reduce__(self):
        return os.system, ("echo pwned",)


class Legacy(Command):
    """As `Command`, through a name that pickles of protocol 4 take from the stack."""

    def __reduce__(self):
        return eval, ("print('pwned')",)


def refused(folder):
    """Files that must not be read, by what is wrong with them."""
    folder.mkdir(exist_ok=True)
    state = {"model.norm.weight": torch.ones(8)}
    torch.save(state | {"x": Command()}, folder / "command.bin")
    torch.save(state | {"x": Command()}, folder / "command-old.bin", _use_new_zipfile_serialization=False)
    torch.save(state | {"x": Legacy()}, folder / "eval.bin", pickle_protocol=4)
    torch.save({"state_dict": state}, folder / "nested.bin")
    torch.save(list(state.values()), folder / "list.bin")
    torch.save({"epoch": 3} | state, folder / "number.bin")
    torch.save({"model.norm.weight": torch.ones(8).double()}, folder / "double.bin")
    torch.save({"model.norm.weight": torch.ones(1).expand(8)}, folder / "expanded.bin")
    torch.save({"model.norm.weight": torch.ones(8).to_sparse()}, folder / "sparse.bin")
    torch.save(torch.nn.Linear(2, 2), folder / "module.bin")
    (folder / "pickle.bin").write_bytes(pickle.dumps({"a": 1}))
    with zipfile.ZipFile(HERE / "zip" / "pytorch_model.bin") as whole:
        with zipfile.ZipFile(folder / "compressed.bin", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in whole.namelist():
                packed.writestr(zipfile.ZipInfo(name), whole.read(name), zipfile.ZIP_DEFLATED)


if len(sys.argv) == 3:
    source, out = map(Path, sys.argv[1:])
    tensors = {}
    for file in sorted(source.glob("*.safetensors")):
        tensors |= load_file(file)
    forms(tensors, json.loads((source / "config.json").read_text()), out)
    for tokens in source.glob("tokenizer*"):
        for form in out.iterdir():
            shutil.copy(tokens, form)
else:
    forms(llama(), CONFIG, HERE)
    refused(HERE / "refused")
