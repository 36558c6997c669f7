"""Runs `forward` and its peers in turn and prints one table; forward.sh says how to call it."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
# Prompts, their tokens, and passes within a turn, of which the median counts.
RUNS = {"d512": (8, 256, 5), "family": (64, 64, 7), "smollm2-135m": (8, 256, 2), "smollm2-real": (8, 256, 2)}
OURS = ("f32", "bf16")
# How torch is limited to a set. MKL obeys on Intel's processors alone; on AMD's it has one kernel for f32 products, of 256-bit registers.
TORCH_LIMITS = {
    "plain": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "amx": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
}
# Log-probabilities of one token may differ so much between us and llama.cpp, whose keys and values are f16 and whose bf16 and Q8_0 products round
# their inputs; another model would be wrong by whole nats.
TOLERANCE = {"f32": 0.1, "bf16": 0.3, "f16": 0.1, "Q8_0": 0.5}


def call(command, environment):
    """The line of JSON that a program prints; its complaint ends us."""
    done = subprocess.run([str(part) for part in command], env=os.environ | environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{environment} {' '.join(str(part) for part in command)}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@dataclass
class Row:
    """What was measured of a shape in a dtype on an instruction set: of each side, a line of JSON a turn."""

    shape: str
    dtype: str
    set: str
    sides: dict = field(default_factory=dict)

    def values(self, side, key):
        """A number of each turn; none where the side did not run."""
        return [line[key] for line in self.sides.get(side, []) if line.get(key) is not None]

    def median(self, side, key):
        values = self.values(side, key)
        return statistics.median(values) if values else None

    def ratio(self, side, other, key="tokens_per_second", other_key="tokens_per_second"):
        """The median of the turns' quotients."""
        pairs = list(zip(self.values(side, key), self.values(other, other_key)))
        return statistics.median(a / b for a, b in pairs) if pairs else None


class Machine:
    """The programs, and models made for them on demand."""

    def __init__(self, options, work):
        self.options, self.work = options, Path(work)

    def folder(self, shape):
        """The checkpoint of a shape."""
        if shape == "family":
            return Path("examples/family/base")
        folder = self.work / shape
        if not folder.exists():
            make = [sys.executable, "benches/real/convert.py"] if shape == "smollm2-real" else [f"{self.options.programs}/make_model", shape]
            done = subprocess.run([*make, folder], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{shape} cannot be made:\n{done.stderr[-2000:]}")
        return folder

    def gguf(self, shape, dtype):
        """The same for llama.cpp; None where it cannot be in this dtype, as blocks of Q8_0 are 32 numbers."""
        folder, file = self.folder(shape), self.work / f"{shape}-{dtype}.gguf"
        if dtype == "Q8_0" and json.loads((folder / "config.json").read_text())["hidden_size"] % 32 != 0:
            return None
        if not file.exists():
            subprocess.run([sys.executable, HERE / "gguf_of.py", folder, dtype, file], check=True)
        return file

    def ours(self, row, score):
        batch, length, turns = RUNS[row.shape]
        command = [f"{self.options.programs}/forward", self.folder(row.shape), "--dtype", row.dtype, "--batch", batch, "--length", length]
        return call([*command, "--turns", turns, "--score", score], {} if row.set == "best" else {"TAILOR_CPU": row.set})

    def torch(self, row):
        batch, length, turns = RUNS[row.shape]
        command = [sys.executable, HERE / "forward.py", self.folder(row.shape), "--dtype", row.dtype, "--batch", batch, "--length", length]
        return call([*command, "--turns", turns], TORCH_LIMITS.get(row.set, {}))

    def llama(self, row):
        file = self.gguf(row.shape, row.dtype)
        batch, length, turns = RUNS[row.shape]
        command = [sys.executable, HERE / "forward_llama.py", self.options.llama, file, "--set", row.set, "--batch", batch, "--length", length]
        return call([*command, "--turns", turns, "--threads", self.options.threads], {}) if file else None

    def sides(self, row):
        """What runs for a row, in turn."""
        peers = self.options.peers
        if row.dtype in OURS:
            yield "ours", lambda: self.ours(row, "all")
            if "torch" in peers:
                yield "torch", lambda: self.torch(row)
            if "llama" in peers:
                yield "last", lambda: self.ours(row, "last")
        if "llama" in peers:
            yield "llama", lambda: self.llama(row)

    def turn(self, row):
        for side, run in self.sides(row):
            if line := run():
                row.sides.setdefault(side, []).append(line)


def check_limit(options):
    """Ends us if our program does not know TAILOR_CPU: it would run as fast as it can under every limit."""
    command = [f"{options.programs}/forward", "examples/family/base", "--batch", "1", "--length", "8", "--turns", "0"]
    done = subprocess.run(command, env=os.environ | {"TAILOR_CPU": "no such set"}, capture_output=True)
    if done.returncode == 0:
        sys.exit("this build of ours does not heed TAILOR_CPU; only SETS=best can be measured")


def difference(row, rows):
    """The largest difference of a prompt's last log-probability between llama.cpp and us, in the same dtype or else in any of the shape."""
    of_shape = sorted((r for r in rows if r.shape == row.shape and "last" in r.sides), key=lambda r: (r.dtype != row.dtype, r.set != row.set))
    if not of_shape or "llama" not in row.sides:
        return None
    ours, theirs = of_shape[0].sides["last"][0]["log_likelihoods"], row.sides["llama"][0]["log_likelihoods"]
    return max(abs(a - b) for a, b in zip(ours, theirs))


def cells(row, rows):
    """A row of the table."""
    apart = None
    if row.values("torch", "log_likelihood"):
        apart = abs(row.sides["ours"][0]["log_likelihood"] - row.sides["torch"][0]["log_likelihood"])
    batch, length, _ = RUNS[row.shape]
    return [
        f"{row.shape} {batch} x {length}", row.dtype, row.set,
        (row.median("ours", "tokens_per_second"), ".0f"), (row.median("torch", "tokens_per_second"), ".0f"), (row.ratio("ours", "torch"), ".2f"),
        (row.median("ours", "gflops"), ".0f"), (row.median("torch", "product_gflops"), ".0f"),
        (row.ratio("ours", "torch", "gflops", "product_gflops"), ".0%"), (apart, ".4f"),
        (row.median("last", "tokens_per_second"), ".0f"), (row.median("llama", "tokens_per_second"), ".0f"), (row.ratio("last", "llama"), ".2f"),
        (difference(row, rows), ".4f"),
    ]


HEADER = [
    "shape", "dtype", "set", "ours, tok/s", "torch, tok/s", "ratio", "ours, GFLOP/s", "torch's product", "share", "apart",
    "ours, last only", "llama.cpp", "ratio", "apart",
]
LEGEND = """
tok/s: prompt tokens read per second; ours and torch score every token. last only: only the last token of each prompt is scored, which is all
llama.cpp computes logits of (its prompts are read one after the other). torch's product: GFLOP/s of a plain f32 product, 1024 x 1024 by 1024 x 1024,
in the same run under the same limit; share: of it, ours in the forward pass. apart: nats between us and the peer, over the first prompt's tokens
together (torch), and the largest of the prompts' last tokens (llama.cpp; f16 and Q8_0 against ours in f32). On AMD's processors torch's f32
products (MKL) use one kernel, of 256-bit registers, under every limit."""


def print_table(rows):
    """A table in Markdown."""
    print("| " + " | ".join(HEADER) + " |\n|---|---|---|" + "---:|" * (len(HEADER) - 3))
    for row in rows:
        texts = [cell if isinstance(cell, str) else "-" if cell[0] is None else format(*cell) for cell in cells(row, rows)]
        print("| " + " | ".join(texts) + " |")
    print(LEGEND)


def print_sets(rows, programs):
    """What each program says that it uses under a limit."""
    for name in dict.fromkeys(row.set for row in rows):
        environment = os.environ | ({} if name == "best" else {"TAILOR_CPU": name})
        devices = subprocess.run([f"{programs}/tailor", "devices"], env=environment, capture_output=True, text=True).stdout
        print(f"\n{name}:\n  ours: {' | '.join(line.strip() for line in devices.splitlines()[:3])}")
        lines = {side: line for row in rows if row.set == name for side in row.sides for line in row.sides[side]}
        if "torch" in lines:
            print(f"  torch: {lines['torch']['instruction_set']}")
        if "llama" in lines:
            print(f"  llama.cpp: {lines['llama']['peer']}, kernels {lines['llama']['kernels']}; {lines['llama']['system']}")
        left_out = [row for row in rows if row.set == name and "torch" in row.sides and not row.values("torch", "tokens_per_second")]
        if left_out:
            print(f"  torch's bf16 products: {left_out[0].median('torch', 'own_product_gflops'):.1f} GFLOP/s, a plain loop; its model was not run")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--llama", required=True)
    for name, choices in {"peers": ["torch", "llama"], "shapes": RUNS, "dtypes": TOLERANCE, "sets": [*TORCH_LIMITS, "neon", "best"]}.items():
        parser.add_argument(f"--{name}", nargs="+", choices=list(choices), required=True)
    options = parser.parse_args()
    if options.sets != ["best"]:
        check_limit(options)
    rows = [Row(shape, dtype, name) for shape in options.shapes for dtype in options.dtypes for name in options.sets]
    with tempfile.TemporaryDirectory() as work:
        machine = Machine(options, work)
        for turn in range(options.turns):
            for row in rows:
                print(f"turn {turn + 1} of {options.turns}: {row.shape} {row.dtype} {row.set}", file=sys.stderr)
                machine.turn(row)
    rows = [row for row in rows if row.sides]
    print(next((line["peer"] for row in rows for line in row.sides.get("torch", []) if "peer" in line), ""))
    print_table(rows)
    print_sets(rows, options.programs)
    wrong = [row for row in rows if (difference(row, rows) or 0) > TOLERANCE[row.dtype]]
    if wrong:
        sys.exit(f"llama.cpp computes another model than we: {[(row.shape, row.dtype, row.set) for row in wrong]}")


if __name__ == "__main__":
    main()
