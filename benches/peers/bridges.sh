#!/usr/bin/env bash
# Bridges in closed form against numpy's least squares on the tokens themselves, in float64: deltas, errors on text held back, and whether the
# folded export computes the same logits as the recipe, to the last bit.
#
#   benches/peers/bridges.sh [MODEL AFTER LENGTH TOKENS TEXT.jsonl...]
#
# Default: the bundled family's `math` without its layers 4 to 6. A model of Llama's kind, with plain rotations; each TEXT.jsonl has documents as
# JSON objects. Prints one table, and fails beyond 1e-4 of a delta's largest value. Makes its own virtual environment in benches/peers/.venv-numpy.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=benches/peers/.venv-numpy
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q numpy tokenizers
    touch "$venv/ready"
fi
[ $# -gt 0 ] || set -- examples/family/math 3 3 4000 examples/family/tasks/data/*_train.jsonl
model=$1 after=$2 length=$3 tokens=$4
ridges=${RIDGES:-0.001,0.01,0.1}
shift 4
cargo build --release -q -p tailor-llm -p tailor-benches --bin tailor --bin bridges --bin logits
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$venv/bin/python
"$python" benches/peers/bridges.py text "$model" "$@" "$tokens" "$work/text.json"
"$bin/bridges" "$model" "$work/text.json" "$after" "$length" "$ridges" "$work/ours" --o-proj
for recipe in refit sequential; do
    "$bin/tailor" merge "$work/ours/$recipe.yaml" "$work/$recipe" --dtype f32 --quiet
    "$bin/logits" "$work/ours/$recipe.yaml" "$work/$recipe.recipe"
    "$bin/logits" "$work/$recipe" "$work/$recipe.model"
    "$python" benches/peers/bridges.py same "$work/$recipe.recipe" "$work/$recipe.model"
    echo "$recipe: the recipe in memory and its export give the same logits, bit for bit"
done
"$python" benches/peers/bridges.py compare "$model" "$work/text.json" "$after" "$length" "$ridges" "$work/ours/ours.safetensors" --o-proj
