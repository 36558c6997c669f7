"""A family whose models have different tokens, and what mergekit makes of it.

usage: make.py      (with mergekit 0.1.5 and transformers installed; CPU only; writes beside itself)

base has 32 tokens; chat also `[PAD]`, added; math has two of them in the other order, one more and one of its own added.
CASE.yaml is read by both; CASE.safetensors are mergekit's tensors, CASE.tokens.json its tokens in the order of their ids.
"""
import json
import shutil
import tempfile
from pathlib import Path

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).parent
WORDS = ["<unk>", "<s>", "</s>"] + [chr(97 + i) for i in range(26)] + ["the", "of", "and"]
MODELS = {
    "base": (WORDS, []),
    "chat": (WORDS, ["[PAD]"]),
    "math": ([*WORDS[:3], WORDS[4], WORDS[3], *WORDS[5:], "plus"], ["<calc>"]),
}
TWO = [{"model": name, "parameters": {"weight": weight}} for name, weight in [("chat", 0.6), ("math", 0.4)]]
CASES = {
    "union_task_arithmetic": {"merge_method": "task_arithmetic", "base_model": "base", "models": TWO, "tokenizer": {"source": "union"}},
    "union_linear": {"merge_method": "linear", "models": [{"model": "base", "parameters": {"weight": 0.3}}, *TWO],
                     "tokenizer": {"source": "union", "pad_to_multiple_of": 8}},
    "base_slerp": {"merge_method": "slerp", "base_model": "base", "models": [{"model": "base"}, {"model": "math"}],
                   "parameters": {"t": 0.4}, "tokenizer": {"source": "base"}},
    "chat_tokens": {"merge_method": "linear", "models": TWO, "tokenizer": {"source": "chat", "tokens": {
        "[PAD]": {"source": {"kind": "zero"}, "force": True},
        "<calc>": {"source": "math"},
        "<tool>": {"source": {"kind": "model_token", "model": "math", "token": "plus"}},
    }}},
}


def make_model(name, words, added, generator):
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.add_tokens(added, special_tokens=True)
    config = LlamaConfig(vocab_size=len(words) + len(added), hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                         num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(HERE / name)
    fast.save_pretrained(HERE / name)


def main():
    generator = torch.Generator().manual_seed(7)
    for name, (words, added) in MODELS.items():
        make_model(name, words, added, generator)
    for case, configuration in CASES.items():
        configuration = {**configuration, "dtype": "float32"}
        text = yaml.safe_dump(configuration, sort_keys=False)
        (HERE / f"{case}.yaml").write_text(text)
        located = text
        for name in MODELS:
            located = located.replace(f": {name}\n", f": {HERE / name}\n")
        with tempfile.TemporaryDirectory() as out:
            run_merge(MergeConfiguration.model_validate(yaml.safe_load(located)), out,
                      MergeOptions(cuda=False, copy_tokenizer=True, quiet=True, write_model_card=False))
            tensors = {}
            for file in Path(out).glob("*.safetensors"):
                tensors.update(load_file(file))
            save_file(tensors, HERE / f"{case}.safetensors")
            fast = PreTrainedTokenizerFast.from_pretrained(out)
            tokens = sorted(fast.get_vocab().items(), key=lambda entry: entry[1])
            (HERE / f"{case}.tokens.json").write_text(json.dumps([token for token, _ in tokens]) + "\n")
            print(case, tensors["model.embed_tokens.weight"].shape, len(tokens), json.load(open(f"{out}/config.json"))["vocab_size"])
    for leftover in HERE.glob("*/generation_config.json"):
        leftover.unlink()


main()
