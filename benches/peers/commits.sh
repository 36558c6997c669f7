#!/usr/bin/env bash
# Is this commit as fast as another one? The `tailor` of both in turn on the tasks of eval.sh, the merges of merge.sh and the quickstart's search.
#
#   benches/peers/commits.sh OTHER [TURNS]      (OTHER: the other commit's `tailor` program; default: 9 turns; SHAPE: llama-1b, as for make_model)
#
# Prints one table: seconds of whole processes (medians) and the ratio other / this one; above 1 this one is faster. The answers must be equal.
# Merges end on the disk and vary by a third from turn to turn. The family of the merges goes to $FAMILY (target/merge-family). Makes its own virtual environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/peers/mergekit_venv.sh
cargo build --release -q -p tailor-llm -p tailor-benches
release="${CARGO_TARGET_DIR:-target}/release"
source benches/peers/merge_family.sh
make_family "${SHAPE:-llama-1b}"
export RAYON_NUM_THREADS="${THREADS:-2}"
exec "$venv/bin/python" benches/peers/commits.py "$1" "$release/tailor" "$family" "${2:-9}"
