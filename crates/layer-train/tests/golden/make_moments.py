"""Makes `moments.safetensors`: the maps of 8-bit optimisers by the formula of bitsandbytes (`create_dynamic_map` in `bitsandbytes/functional.py`, MIT), and
the codes of random numbers, each the nearest of the map's values to the number over the largest of its block of 256.

    python make_moments.py

One rule is ours: a code of the unsigned map is 0 for the number 0 alone; smaller numbers than the lowest value get that value.
"""
import torch
from safetensors.torch import save_file


def dynamic_map(signed, max_exponent_bits=7, total_bits=8):
    data = []
    non_sign_bits = total_bits - 1
    for i in range(max_exponent_bits):
        items = 2 ** (i + non_sign_bits - max_exponent_bits + (0 if signed else 1)) + 1
        boundaries = torch.linspace(0.1, 1, items, dtype=torch.float32)
        means = (boundaries[:-1] + boundaries[1:]) / 2.0
        data += ((10 ** (-(max_exponent_bits - 1) + i)) * means).tolist()
        if signed:
            data += (-(10 ** (-(max_exponent_bits - 1) + i)) * means).tolist()
    data += [0, 1.0]
    assert len(data) == 2**total_bits
    data.sort()
    return torch.tensor(data, dtype=torch.float32)


torch.manual_seed(3)
found = {}
for name, signed in [("signed", True), ("unsigned", False)]:
    values = dynamic_map(signed)
    numbers = torch.randn(1000) * torch.exp(3 * torch.randn(1000))
    numbers[500:520] = 0
    if not signed:
        numbers = numbers**2
    scales, codes = [], []
    for block in numbers.split(256):
        scale = block.abs().max()
        near = (block / scale).double()[:, None] - values.double()[None, :]
        code = near.abs().argmin(1)
        if not signed:
            code = torch.where((code == 0) & (block > 0), 1, code)
        scales.append(scale)
        codes.append(code.to(torch.uint8))
    found |= {f"{name}/map": values, f"{name}/numbers": numbers, f"{name}/scales": torch.stack(scales), f"{name}/codes": torch.cat(codes)}
save_file(found, "moments.safetensors", {"made_by": f"torch {torch.__version__}"})
