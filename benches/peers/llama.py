"""A decoder of Llama's kind in numpy, layer by layer, in float64: what bridges are compared with. Reads config.json and safetensors alone."""

import json
import pathlib
import struct

import numpy as np


def tensors(path):
    """The arrays of a safetensors file in float64; numpy knows no bfloat16, so the bytes are read here."""
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    kinds = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
    out = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            array = (np.frombuffer(data[start:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            array = np.frombuffer(data[start:end], kinds[entry["dtype"]])
        out[name] = array.reshape(entry["shape"]).astype(np.float64)
    return out


class Llama:
    """A checkpoint's layers; `texts` of token ids go through them one after the other, without padding."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.all = {}
        for file in sorted(folder.glob("*.safetensors")):
            self.all |= tensors(file)
        self.heads = self.config["num_attention_heads"]
        self.kv_heads = self.config.get("num_key_value_heads", self.heads)
        self.dim = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        self.eps = self.config["rms_norm_eps"]
        rope = self.config.get("rope_parameters") or self.config
        self.theta = rope.get("rope_theta") or self.config.get("rope_theta", 10000.0)
        kinds = [(self.config.get(key) or {}).get("rope_type", "default") for key in ("rope_scaling", "rope_parameters")]
        assert kinds == ["default", "default"], "only plain rotations"

    def layer(self, index):
        """The tensors of a layer, by their names within it; a copy that may be changed."""
        prefix = f"model.layers.{index}."
        return {name[len(prefix) :]: array for name, array in self.all.items() if name.startswith(prefix)}

    def embed(self, texts):
        return [self.all["model.embed_tokens.weight"][text] for text in texts]

    def norm(self, x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * weight

    def rotate(self, x):
        """The halves (a, b) of each head: (a cos - b sin, b cos + a sin); x [tokens, heads, dim]."""
        angle = np.arange(len(x))[:, None] / self.theta ** (np.arange(0, self.dim, 2) / self.dim)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        a, b = np.split(x, 2, axis=-1)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def attend(self, w, x):
        """What the heads read of one text: the input of o_proj, [tokens, heads * dim]."""
        normed, count = self.norm(x, w["input_layernorm.weight"]), len(x)
        q, k, v = (
            (normed @ w[f"self_attn.{name}_proj.weight"].T).reshape(count, heads, self.dim)
            for name, heads in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads))
        )
        times = self.heads // self.kv_heads
        q, k, v = self.rotate(q), np.repeat(self.rotate(k), times, 1), np.repeat(v, times, 1)
        q, k, v = (array.transpose(1, 0, 2) for array in (q, k, v))  # [heads, tokens, dim]
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(self.dim)
        scores = np.where(np.tril(np.ones((count, count), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return (weights @ v).transpose(1, 0, 2).reshape(count, -1)

    def forward(self, w, streams):
        """Of each text: the input of o_proj, the stream after it, the input of down_proj, the stream after that."""
        out = []
        for x in streams:
            attended = self.attend(w, x)
            middle = x + attended @ w["self_attn.o_proj.weight"].T
            normed = self.norm(middle, w["post_attention_layernorm.weight"])
            gate, up = (normed @ w[f"mlp.{name}_proj.weight"].T for name in ("gate", "up"))
            inner = gate / (1 + np.exp(-gate)) * up
            out.append((attended, middle, inner, middle + inner @ w["mlp.down_proj.weight"].T))
        return [list(each) for each in zip(*out)]
