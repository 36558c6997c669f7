"""Makes the files beside it: two bridges, a recipe that has them, and what numpy says its bridged tensors are.

    pip install numpy blake3 && python make.py

Written with numpy 2.x and blake3 1.x; nothing of Tailor takes part.
"""

import json
import pathlib
import struct

import blake3
import numpy as np

HERE = pathlib.Path(__file__).parent
DOWN, OUT = "mlp.down_proj.weight", "self_attn.o_proj.weight"
SHAPES = {DOWN: (32, 80), OUT: (32, 32)}
NUMPY = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def read(path):
    """The tensors of a safetensors file, in f32."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            stored = np.frombuffer(data[start:end], NUMPY[entry["dtype"]]).reshape(entry["shape"])
            if entry["dtype"] == "BF16":
                stored = (stored.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = stored.astype(np.float32)
    return tensors


def file(tensors):
    """The bytes of a safetensors file of (format, numbers) by name."""
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        offsets = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": offsets}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def bf16(values):
    """The bits of the nearest bf16, of two equally near ones the even."""
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


rng = np.random.default_rng(20)


def bridge(name, suffixes):
    """Writes a bridge; its deltas and its hash."""
    deltas = {suffix: rng.normal(0, 0.02, SHAPES[suffix]).astype(np.float32) for suffix in suffixes}
    content = file({suffix: ("F32", delta) for suffix, delta in deltas.items()})
    (HERE / name).write_bytes(content)
    return deltas, blake3.blake3(content).hexdigest()


model = {name: read(HERE.parent / "family" / name / "model.safetensors") for name in ("base", "chat", "code")}
first, first_hash = bridge("first.safetensors", [DOWN, OUT])
second, second_hash = bridge("second.safetensors", [DOWN])
(HERE / "recipe.yaml").write_text(f"""tailor: 1
models: {{base: ../family/base, chat: ../family/chat, code: ../family/code}}
base: base
layers:
- take: {{model: base, layer: 0}}
  scale: 1.5
- take: {{model: chat, layer: 1}}
  bridge: {{file: first.safetensors, hash: {first_hash}}}
  scale: 0.5
- merge:
    method: linear
    parameters: {{weight: 0.5, normalize: false}}
    sources: [{{model: chat, layer: 4}}, {{model: code, layer: 4}}]
  bridge: {{file: second.safetensors, hash: {second_hash}}}
""")


def stored(model_name, layer, suffix):
    return model[model_name][f"model.layers.{layer}.{suffix}"]


half = np.float32(0.5)
built = {
    (1, DOWN): stored("chat", 1, DOWN) + first[DOWN],
    (1, OUT): stored("chat", 1, OUT) + first[OUT],
    (2, DOWN): (half * stored("chat", 4, DOWN) + half * stored("code", 4, DOWN)) + second[DOWN],
}
# The product of the output scales of the layers before, by which an export divides what writes into the stream.
divisors = {1: 1.5, 2: 0.75}
expected = {}
for (layer, suffix), values in built.items():
    assert values.dtype == np.float32
    expected[f"memory.{layer}.{suffix}"] = ("F32", values)
    folded = (values.astype(np.float64) / divisors[layer]).astype(np.float32)
    expected[f"f32.{layer}.{suffix}"] = ("F32", folded)
    expected[f"f16.{layer}.{suffix}"] = ("F16", folded.astype(np.float16))
    expected[f"bf16.{layer}.{suffix}"] = ("BF16", bf16(folded))
(HERE / "expected.safetensors").write_bytes(file(expected))
