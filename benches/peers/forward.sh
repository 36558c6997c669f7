#!/usr/bin/env bash
# Tokens per second of a forward pass that scores every token: Tailor against transformers (torch), same weights, same prompts, same run.
#
#   benches/peers/forward.sh [TURNS]
#
# Shapes: d=512 with 8 layers (random weights), 8 x 256 tokens; and the bundled family's base, 64 x 64 tokens. Each in f32 and bf16. A turn runs
# both sides one after the other in processes of their own; the medians of the turns stand in the table. Makes benches/peers/.venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
turns=${1:-5}
venv=benches/peers/.venv
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch "transformers>=5" safetensors numpy
    touch "$venv/ready"
fi
cargo build --release -q -p tailor-llm -p tailor-benches
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/make_model" d512 "$work/d512"
for turn in $(seq "$turns"); do
    for dtype in f32 bf16; do
        for run in "d512 $work/d512 8 256" "family examples/family/base 64 64"; do
            read -r name folder batch length <<<"$run"
            ours=$("$bin/forward" "$folder" --dtype $dtype --batch "$batch" --length "$length")
            theirs=$("$venv/bin/python" benches/peers/forward.py "$folder" --dtype $dtype --batch "$batch" --length "$length" 2>/dev/null)
            printf '{"shape": "%s %s x %s", "ours": %s, "theirs": %s}\n' "$name" "$batch" "$length" "$ours" "$theirs" >>"$work/runs"
            echo "turn $turn of $turns: $name $dtype" >&2
        done
    done
done
"$bin/tailor" devices 2>/dev/null | head -3 || true
"$venv/bin/python" - "$work/runs" <<'PY'
import json, statistics, sys
runs = [json.loads(line) for line in open(sys.argv[1])]
print(runs[0]["theirs"]["peer"])
print(f"{'shape':18} {'dtype':5} {'ours tok/s':>12} {'torch tok/s':>12} {'ratio':>6}  {'ours GFLOP/s':>12}  log-likelihood of the first prompt")
for shape, dtype in dict.fromkeys((r["shape"], r["ours"]["dtype"]) for r in runs):
    of = [r for r in runs if (r["shape"], r["ours"]["dtype"]) == (shape, dtype)]
    ours, theirs = (statistics.median(r[side]["tokens_per_second"] for r in of) for side in ("ours", "theirs"))
    ratio = statistics.median(r["ours"]["tokens_per_second"] / r["theirs"]["tokens_per_second"] for r in of)
    gflops = statistics.median(r["ours"]["gflops"] for r in of)
    print(f"{shape:18} {dtype:5} {ours:12.0f} {theirs:12.0f} {ratio:6.2f}  {gflops:12.0f}  {of[0]['ours']['log_likelihood']:.4f} {of[0]['theirs']['log_likelihood']:.4f}")
PY
