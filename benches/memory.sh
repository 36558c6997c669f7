#!/usr/bin/env bash
# Models larger than their budgets, on the CPU in bf16, with random weights:
#
#   benches/memory.sh bank      a 1-B shape under a bank of half its size and under one that holds it: equal scores? how much memory?
#   benches/memory.sh llama-7b  Llama 2's 7-B shape (13 GB of disk) under a bank of 6000 MiB: time per token, beside what the memory's
#                               bandwidth and the products allow
#
# Prints a table and keeps it in target/. Writes under ${TAILOR_BENCH_DIR:-/tmp}, and deletes it. BIN names a folder with `make_model`, `forward` and `bandwidth`
# where they are not to be built. The anonymous memory is the process's own; pages of mapped files go when the kernel needs them.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-bank}
bin=${BIN:-}
if [ -z "$bin" ]; then
    cargo build --release -q -p tailor-llm -p tailor-benches
    bin=${CARGO_TARGET_DIR:-target}/release
fi
mkdir -p target
work=$(mktemp -d "${TAILOR_BENCH_DIR:-/tmp}/tailor-memory-XXXXXX")
trap 'rm -rf "$work"' EXIT

room() { # GB
    local free
    free=$(df --output=avail -B1000000000 "$work" | tail -n 1)
    [ "$free" -ge "$1" ] || { echo "memory.sh: $1 GB are needed under $work, $free are free; set TAILOR_BENCH_DIR" >&2; exit 1; }
}

bank() {
    room 3
    "$bin/make_model" llama-1b "$work/model"
    for mib in 1050 4096; do
        "$bin/forward" "$work/model" --dtype bf16 --bank-mib $mib --batch 8 --length 128 --turns 3 >"$work/$mib.json"
    done
    python3 - "$work" 1050 4096 <<'PYTHON'
import json, sys
work, *banks = sys.argv[1:]
runs = {mib: json.load(open(f"{work}/{mib}.json")) for mib in banks}
print(f"llama-1b, bf16: {next(iter(runs.values()))['weight_bytes'] / 2**20:.0f} MiB of weights; 8 prompts of 128 tokens, 4 passes\n")
print("| bank, MiB | in it, MiB | layers and ends built | first pass, s | next passes, s | peak, anonymous MiB | peak, mapped files MiB | peak of both (VmHWM) |")
print("|---:|---:|---:|---:|---:|---:|---:|---:|")
for mib, run in runs.items():
    anonymous, file, peak = (run[f"peak_{kind}kib"] / 1024 for kind in ("anonymous_", "file_", ""))
    print(f"| {mib} | {run['bank_bytes'] / 2**20:.0f} | {run['layers_built']} | {run['seconds_with_loading']:.2f} | {run['seconds']:.2f} "
          f"| {anonymous:.0f} | {file:.0f} | {peak:.0f} |")
small, large = (runs[mib]["log_likelihoods"] for mib in banks)
worst = max(abs(a - b) for a, b in zip(small, large))
print(f"\nlog-likelihoods differ by at most {worst:g} of {max(map(abs, large)):.1f}")
sys.exit(worst > 1e-4)
PYTHON
}

llama_7b() {
    room 15
    local run=(--dtype bf16 --bank-mib 6000 --length 64)
    # Two layers of the same shape, which the bank holds: what the products reach when nothing is loaded.
    "$bin/make_model" llama-7b "$work/two" 0 2
    "$bin/forward" "$work/two" "${run[@]}" --batch 4 --turns 9 >"$work/two.json"
    "$bin/forward" "$work/two" "${run[@]}" --batch 32 --turns 5 >"$work/many.json"
    "$bin/bandwidth" >"$work/bandwidth.json"
    "$bin/make_model" llama-7b "$work/model"
    "$bin/forward" "$work/model" "${run[@]}" --batch 4 --turns 2 >"$work/model.json"
    mkdir -p target/memory-llama-7b
    cp "$work"/*.json target/memory-llama-7b/
    python3 - "$work" <<'PYTHON'
import json, sys
of = {name: json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("two", "many", "bandwidth", "model")}
model = of["model"]
tokens = model["batch"] * (model["length"] - 1)
bandwidth = of["bandwidth"]["bytes_per_second"]
def best(run):  # GFLOP/s of the fastest turn: a slower one, such as beside another process, is no limit
    return run["gflops"] * run["seconds"] / min(run["all_turns"])
print(f"llama-7b, bf16: {model['weight_bytes'] / 1e9:.1f} GB of weights, a bank of 6000 MiB; {model['batch']} prompts of {model['length']} tokens, {tokens} scored\n")
rows = [("first pass", model["seconds_with_loading"])] + [(f"pass {i + 2}", s) for i, s in enumerate(model["all_turns"])]
print("| | seconds | ms per token | tokens/s |\n|---|---:|---:|---:|")
limits = [(f"limit of the memory: every weight read once at {bandwidth / 1e9:.1f} GB/s", model["weight_bytes"] / bandwidth)]
limits += [
    (f"limit of the products: {best(of[run]):.0f} GFLOP/s, as two layers in the bank reach with {prompts} prompts",
     model["flops_per_token"] * tokens / best(of[run]) / 1e9)
    for run, prompts in (("two", 4), ("many", 32))
]
for name, seconds in rows + limits:
    print(f"| {name} | {seconds:.2f} | {seconds / tokens * 1e3:.2f} | {tokens / seconds:.1f} |")
passes = len(rows)
print(f"\nOf {passes} passes: {model['seconds_building']:.1f} s reading and laying out {model['layers_built']} layers and ends, {model['seconds_forward']:.1f} s computing")
print(f"peak: {model['peak_anonymous_kib'] / 2**20:.2f} GiB anonymous, {model['peak_file_kib'] / 2**20:.2f} GiB of mapped files, "
      f"{model['peak_kib'] / 2**20:.2f} GiB both (VmHWM), {model['swapped_kib']} KiB in swap; first log-likelihood {model['log_likelihood']:.3f}")
PYTHON
}

case $what in
    bank) bank | tee target/memory-bank.md ;;
    llama-7b) llama_7b | tee target/memory-llama-7b.md ;;
    *) echo "memory.sh: $what is unknown; bank or llama-7b" >&2; exit 1 ;;
esac
