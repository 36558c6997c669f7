#!/usr/bin/env bash
# What does a search pay for a candidate? The reference's way (mergekit writes a checkpoint, transformers loads it, lm-evaluation-harness
# scores it on the CPU in float32; a process for each trial, and for comparison one process for all) against ours (`tailor::Judge`): same recipes, same documents, same scores, or it fails.
#
#   benches/peers/candidate.sh [STUDY.toml [CANDIDATES [TURNS]]]      (default: examples/quickstart.toml 3 3)
#
# Prints one table. Makes its own virtual environment in benches/peers/.venv-candidate.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=benches/peers/.venv-candidate
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch "mergekit>=0.1.5" "lm_eval[hf]>=0.4.13" "transformers>=5" datasets
    touch "$venv/ready"
fi
cargo build --release -q -p tailor -p tailor-benches --bin tailor --bin candidate
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$venv/bin/python" benches/peers/candidate.py "${CARGO_TARGET_DIR:-target}/release/candidate" \
    "${1:-examples/quickstart.toml}" "${2:-3}" "${3:-3}"
