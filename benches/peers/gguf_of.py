"""A Llama checkpoint as a GGUF file for llama.cpp, without a tokenizer: python gguf_of.py FOLDER f32|bf16|f16|Q8_0 OUT"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from safetensors import safe_open

OUTSIDE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
IN_LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    """A tensor's name in GGUF."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, _, layer, suffix = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{IN_LAYER[suffix]}.weight"


def interleaved(weight, heads):
    """llama.cpp rotates neighbours (0, 1), (2, 3), ...; transformers rotates halves: the rows of each head change places."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(folder):
    """Names and arrays in f32, one after the other."""
    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():
                yield name, opened.get_tensor(name).to(torch.float32).numpy()


def write_config(writer, config):
    """What llama.cpp wants to know of a model."""
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config
    assert rope.get("rope_type", "default") == "default", "only plain rotations"
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")


def write(folder, dtype, out):
    """Writes the file; norms stay in f32, as llama.cpp wants them."""
    config = json.loads((Path(folder) / "config.json").read_text())
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    kind = GGMLQuantizationType[dtype.upper()]
    writer = GGUFWriter(out, "llama")
    write_config(writer, config)
    for name, array in tensors(folder):
        projection = name.split(".")[-2]
        if projection in heads:
            array = interleaved(array, heads[projection])
        if array.ndim == 1:
            writer.add_tensor(gguf_name(name), array)
        else:
            writer.add_tensor(gguf_name(name), quantize(np.ascontiguousarray(array), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(*sys.argv[1:4])
