"""Makes sequential.safetensors: the sequential form of bridges, `o_proj` too, of a small model by plain least squares in float64.

    python make_sequential.py        # numpy 2.4, safetensors 0.8

The model is `layer-runtime/tests/golden/models/llama-mha` without its layer 1; the text that of `calibration()` in `src/bridges/tests.rs`.
The decoder and the fits are those of `benches/peers/llama.py` and `bridges.py`: no sums are formed.

    PLACE.down_proj, PLACE.o_proj           the deltas, float64
    PLACE.down_proj.errors, ...             for each ridge, on the text held back
"""

import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[3] / "benches/peers"))
from bridges import reference
from llama import Llama
from safetensors.numpy import save_file

RIDGES = [0.001, 0.01, 0.1]


def length(i):
    return 20 + 7 * i % 31


texts = [[(i * 7919 + j * j * 31 + j * 17) % 300 for j in range(length(i))] for i in range(30)]
out = reference(Llama(here.parents[2] / "layer-runtime/tests/golden/models/llama-mha"), texts, 0, 1, RIDGES, True)
out = {name.removeprefix("sequential."): array.copy() for name, array in out.items() if name.startswith("sequential.")}
save_file(out, here / "sequential.safetensors")
for name, array in out.items():
    print(name, array if name.endswith("errors") else array.shape)
