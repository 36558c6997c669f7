#!/usr/bin/env bash
# What does a search pay for a candidate? The reference's way (mergekit writes a checkpoint, transformers loads it, lm-evaluation-harness
# scores it on the CPU in float32; a process for each trial, and for comparison one process for all) against ours (`tailor::Judge`): same recipes, same documents, same scores, or it fails.
#
#   benches/peers/candidate.sh [STUDY.toml [CANDIDATES [TURNS]]]      (default: examples/quickstart.toml 3 3)
#
# Prints one table. Makes its own virtual environment in benches/peers/.venv-candidate.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/peers/mergekit_venv.sh
cargo build --release -q -p tailor-llm -p tailor-benches --bin tailor --bin candidate
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$venv/bin/python" benches/peers/candidate.py "${CARGO_TARGET_DIR:-target}/release/candidate" \
    "${1:-examples/quickstart.toml}" "${2:-3}" "${3:-3}"
