#!/usr/bin/env bash
# How fast is a merge? The same mergekit files through mergekit (CPU) and through `tailor merge`, in turn, on a family of random bf16 weights
# in TinyLlama's shape (1.1 billion parameters), and a plain copy of as many bytes beside them.
#
#   benches/peers/merge.sh [TURNS [SHAPE [METHOD ...]]]      (default: 3 llama-1b, all four; SHAPE as for make_model)
#
# Prints one table: seconds (median, all inputs in the page cache), ratio, peak memory that is not mapped files, the copy's time as a share of
# ours: the throughput of the merge as a share of the copy's. The family and the results go to $FAMILY (target/merge-family): 9 GB and as much again. Makes its own virtual environment.
# MERGEKIT=-: without mergekit, the copies alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/peers/mergekit_venv.sh
cargo build --release -q -p tailor-llm -p tailor-benches
release="${CARGO_TARGET_DIR:-target}/release"
source benches/peers/merge_family.sh
make_family "${2:-llama-1b}"
export HF_HUB_OFFLINE=1
exec "$venv/bin/python" benches/peers/merge.py "$release/tailor" "${MERGEKIT:-$venv/bin/mergekit-yaml}" "$family" "${1:-3}" "${@:3}"
