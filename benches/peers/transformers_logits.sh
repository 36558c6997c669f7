#!/usr/bin/env bash
# Do exported models load in stock transformers, without custom code, and give the same logits there?
#
#   benches/peers/transformers_logits.sh [RECIPE.yaml|MODEL_DIR ...]
#
# Recipes are exported to f32 by `tailor merge` first; our logits are those of the recipe in memory. Default: examples/recipes/*.yaml.
# Makes its own virtual environment in benches/peers/.venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=benches/peers/.venv
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch "transformers>=5" safetensors numpy
    touch "$venv/ready"
fi
cargo build --release -q -p tailor-llm -p tailor-benches
[ $# -gt 0 ] || set -- examples/recipes/*.yaml
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for path in "$@"; do
    model=$path
    if [ -f "$path" ]; then
        model=$work/$(basename "$path" .yaml)
        "$bin/tailor" merge "$path" "$model" --dtype f32 --quiet
    fi
    "$bin/logits" "$path" "$work/ours.safetensors"
    "$venv/bin/python" benches/peers/transformers_logits.py "$path" "$model" "$work/ours.safetensors"
done
