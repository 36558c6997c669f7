#!/usr/bin/env bash
# Tokens per second of a training step (forward, backward, AdamW; f32): Tailor against transformers (torch), same weights, same prompts, same run.
#
#   benches/peers/train.sh [TURNS]
#
# Shapes: the bundled family's base, 32 x 48 tokens; and SmolLM2-135M's with random weights, 8 x 128 tokens. A turn runs both sides one after the
# other in processes of their own, two threads each; the medians of the turns stand in the table, and how far the losses of the steps are apart.
# VENV=DIR is an environment with torch and transformers; without it one is made at benches/peers/.venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
turns=${1:-3}
venv=${VENV:-benches/peers/.venv}
if [ -z "${VENV:-}" ] && [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch "transformers>=5" safetensors numpy
    touch "$venv/ready"
fi
[ -n "${NO_BUILD:-}" ] || cargo build --release -q -p tailor-llm -p tailor-benches
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/make_model" smollm2-135m "$work/smollm2"
export RAYON_NUM_THREADS=2
for turn in $(seq "$turns"); do
    for run in "family examples/family/base 32 48 20" "smollm2-135m $work/smollm2 8 128 4"; do
        read -r name folder batch length steps <<<"$run"
        size=(--batch "$batch" --length "$length" --steps "$steps")
        ours=$("$bin/train" "$folder" "${size[@]}")
        theirs=$("$venv/bin/python" benches/peers/train.py "$folder" "${size[@]}" --threads 2 2>/dev/null)
        printf '{"shape": "%s %s x %s", "ours": %s, "theirs": %s}\n' "$name" "$batch" "$length" "$ours" "$theirs" >>"$work/runs"
        echo "turn $turn of $turns: $name" >&2
    done
done
"$venv/bin/python" - "$work/runs" <<'PY'
import json, statistics, sys
runs = [json.loads(line) for line in open(sys.argv[1])]
print(runs[0]["theirs"]["peer"])
print(f"{'shape':22} {'ours tok/s':>10} {'torch tok/s':>11} {'ratio':>6} {'ours MiB':>9} {'torch MiB':>9}  weights MiB  largest relative difference of a step's loss")
for shape in dict.fromkeys(r["shape"] for r in runs):
    of = [r for r in runs if r["shape"] == shape]
    ours, theirs = (statistics.median(r[side]["tokens_per_second"] for r in of) for side in ("ours", "theirs"))
    ratio = statistics.median(r["ours"]["tokens_per_second"] / r["theirs"]["tokens_per_second"] for r in of)
    memory = [max(r[side]["peak_kib"] for r in of) / 1024 for side in ("ours", "theirs")]
    apart = max(abs(a / b - 1) for r in of for a, b in zip(r["ours"]["losses"], r["theirs"]["losses"]))
    print(f"{shape:22} {ours:10.0f} {theirs:11.0f} {ratio:6.2f} {memory[0]:9.0f} {memory[1]:9.0f}  {of[0]['ours']['weight_kib'] / 1024:11.0f}  {apart:.1e}")
PY
