#!/usr/bin/env bash
# What does each step add? One-shot removals of a single model, then layers from several parents, merging, bridges,
# sequential refit and healing, each on top of the one before, under one objective, on the same documents, with the same
# number of trials; and the same repairs of the best one-shot removal, without a search. Scores are those of the test
# split, by which nothing is chosen.
#
#   benches/ablation.sh STUDY.toml [SEEDS]      (default: 3 seeds)
#
# $WRITTEN: tasks whose answers are generated, apart by commas, from the study's `include` (none). $TRIALS: in place of
# the study's. $TOKENS: calibration tokens of a bridge (8000). $HEAL_TOKENS, $HEAL_RATE: of healing (100000, 5e-5; no
# tokens: no healing). $TAILOR: our program, if it need not be built. $OUT: the folder of everything (ablation-NAME beside
# the study). Prints Markdown; $OUT/rows.jsonl keeps one line a model. A second call goes on where the first one ended.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${TAILOR:-}" ]; then
    (cd "$repository" && cargo build --release -q -p tailor-llm)
    TAILOR="${CARGO_TARGET_DIR:-$repository/target}/release/tailor"
fi
export TAILOR
exec "${PYTHON:-python3}" "$repository/benches/ablation.py" "$1" "${2:-3}"
