"""mergekit and `tailor merge` in turn on the same files: the table of `merge.sh`.

usage: merge.py TAILOR MERGEKIT_YAML FAMILY TURNS [METHOD ...]      (MERGEKIT_YAML `-`: the copies alone)

Times are of whole processes. Inputs are read once before, so that all find them in the page cache. Tailor ends when its output is on the disk, which
mergekit and `cp` do not wait for; so it runs a second time with `--no-sync` beside a plain copy, and there is a copy with `sync`. Of these each
runs twice and the second time counts: what the first one's output leaves free is memory that the (virtual) machine really has. The results are compared, and must agree within a step of bf16
nearly everywhere, but for `ties`: of the many equal magnitudes at its cut torch keeps others. Memory is the peak of what is not mapped files (RssAnon), looked at every 10 ms.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from math import nan
from pathlib import Path
from statistics import median

import numpy as np

METHODS = {
    "linear": {"models": {"base": {"weight": 0.4}, "math": {"weight": 0.3}, "code": {"weight": 0.3}}},
    "task_arithmetic": {"base_model": "base", "models": {"math": {"weight": 0.6}, "code": {"weight": 0.4}}},
    "ties": {"base_model": "base", "models": {"math": {"weight": 0.6, "density": 0.5}, "code": {"weight": 0.4, "density": 0.5}}},
    "slerp": {"base_model": "base", "models": {"base": {}, "math": {}}, "parameters": {"t": 0.4}},
}


def configuration(method, family):
    """The mergekit file of a method, as JSON, which is YAML."""
    described = METHODS[method]
    path = lambda model: str((family / model).resolve())
    models = [{"model": path(model), "parameters": parameters} for model, parameters in described["models"].items()]
    content = {"merge_method": method, "models": models, "dtype": "float32", "out_dtype": "bfloat16"}
    if "base_model" in described:
        content["base_model"] = path(described["base_model"])
    if "parameters" in described:
        content["parameters"] = described["parameters"]
    file = family / f"{method}.yaml"
    file.write_text(json.dumps(content, indent=1))
    return file


def timed(command):
    """Seconds and peak MiB of memory that is not mapped files."""
    start, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        anonymous = [line for line in status.splitlines() if line.startswith("RssAnon")]
        if anonymous:
            peak = max(peak, int(anonymous[0].split()[1]) / 1024)
        time.sleep(0.01)
    output = process.communicate()[0].decode(errors="replace")
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{output[-3000:]}")
    return time.monotonic() - start, peak


def tensors(folder):
    """Every tensor of a checkpoint as its bf16 bits, mapped."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length))
        data = np.memmap(file, dtype=np.uint8, mode="r", offset=8 + length)
        for name, about in header.items():
            if name != "__metadata__":
                start, end = about["data_offsets"]
                found[name] = data[start:end].view(np.uint16)
    return found


def agreement(ours, theirs):
    """The share of numbers that are equal to the bit, and of those that are more than one step of bf16 apart."""
    ours, theirs = tensors(ours), tensors(theirs)
    if ours.keys() != theirs.keys():
        sys.exit(f"different tensors: {sorted(ours.keys() ^ theirs.keys())[:5]}")
    total = equal = far = 0
    for name, own in ours.items():
        other = theirs[name]
        apart = np.abs(own.astype(np.int32) - other.astype(np.int32))
        total, equal, far = total + own.size, equal + int((apart == 0).sum()), far + int((apart > 1).sum())
    return equal / total, far / total


def read_all(family):
    for file in family.glob("*/*.safetensors"):
        subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)


def main():
    tailor, mergekit, family, turns = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    methods = sys.argv[5:] or list(METHODS)
    out = family / "out"
    commands = {
        "mergekit": lambda file, folder: [mergekit, file, folder, "--no-write-model-card", "--no-copy-tokenizer"],
        "tailor": lambda file, folder: [tailor, "merge", file, folder, "--quiet"],
        "unsynced": lambda file, folder: [tailor, "merge", file, folder, "--quiet", "--no-sync"],
        "copy": lambda file, folder: ["cp", "-r", family / "base", folder],
        "kept": lambda file, folder: ["sh", "-c", 'cp -r "$0" "$1" && sync -f "$1"', family / "base", folder],
    }
    if mergekit == "-":
        del commands["mergekit"]
    read_all(family)
    print(f"mergekit {version('mergekit')}, torch {version('torch')}; {turns} turns, medians\n")
    print("| method | mergekit s | MiB | tailor s | MiB | mergekit / tailor | copy on disk s | its share | --no-sync s | copy s | its share | equal bits | over a step |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for method in methods:
        file = configuration(method, family)
        seconds, peaks = {name: [] for name in commands}, {name: 0 for name in commands}
        for _ in range(turns):
            for name, command in commands.items():
                folder = out / name
                folder.parent.mkdir(parents=True, exist_ok=True)
                for _ in range(1 if name == "mergekit" else 2):
                    shutil.rmtree(folder, ignore_errors=True)
                    took, peak = timed(command(file, folder))
                seconds[name].append(took)
                peaks[name] = max(peaks[name], peak)
                if name not in ["mergekit", "tailor"]:
                    shutil.rmtree(folder)
                os.sync()
        equal, far = agreement(out / "tailor", out / "mergekit") if "mergekit" in commands else (nan, nan)
        took = {"mergekit": nan} | {name: median(all_turns) for name, all_turns in seconds.items()}
        print(
            f"| {method} | {took['mergekit']:.1f} | {peaks.get('mergekit', nan):.0f} | {took['tailor']:.2f} | {peaks['tailor']:.0f} "
            f"| {took['mergekit'] / took['tailor']:.1f} | {took['kept']:.2f} | {took['kept'] / took['tailor']:.0%} "
            f"| {took['unsynced']:.2f} | {took['copy']:.2f} | {took['copy'] / took['unsynced']:.0%} | {equal:.2%} | {far:.4%} |",
            flush=True,
        )
    shutil.rmtree(out)


if __name__ == "__main__":
    main()
