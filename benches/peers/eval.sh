#!/usr/bin/env bash
# How fast is an evaluation? The same tasks through lm-evaluation-harness (transformers on the CPU, float32, its best batch size) and through
# `tailor eval`, in turn: same prompts, same scores, same log-likelihoods and texts, or it fails.
#
#   benches/peers/eval.sh [TURNS [TASK ...]]      (default: 3, all of eval.py's TASKS; $DOCUMENTS: 200; $MODEL: examples/family/math)
#
# Prints one table. Both get $THREADS (2) threads; $TAILOR is our program, if it need not be built. Makes its own virtual environment.
# On a machine that is busy otherwise: CLOCK=processor THREADS=1 TRIES=1 benches/peers/eval.sh 1 (seconds of processors).
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/peers/mergekit_venv.sh
if [ -z "${TAILOR:-}" ]; then
    cargo build --release -q -p tailor-llm
    TAILOR="${CARGO_TARGET_DIR:-target}/release/tailor"
fi
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 OMP_NUM_THREADS="${THREADS:-2}" RAYON_NUM_THREADS="${THREADS:-2}"
exec "$venv/bin/python" benches/peers/eval.py "$TAILOR" "${MODEL:-examples/family/math}" "${1:-3}" "${@:2}"
