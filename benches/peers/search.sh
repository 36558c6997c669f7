#!/usr/bin/env bash
# Which strategy finds the better points? Ours against SMAC3, Optuna and pycma, on synthetic problems with a known optimum and on the recipe
# search of the bundled family: same problems, same evaluator, same budget, a process for each peer behind benches/peers/search/bridge.py.
#
#   benches/peers/search.sh [SEEDS [EVALUATIONS [further options of compare_search, such as --problems recipe --strategies random,pycma]]]
#
# Default: 10 seeds, 500 evaluations. Prints tables of medians and quartiles. What is finished stays in $RESULTS (search-results.jsonl) and
# every scored recipe in $TABLE (recipe-table.jsonl): a second call goes on. Makes its own virtual environment in benches/peers/.venv-search.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=benches/peers/.venv-search
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q "smac>=2.4.1" "optuna>=5" cmaes "cma>=4.5"
    touch "$venv/ready"
fi
cargo build --release -q -p tailor-llm -p tailor-benches
seeds=${1:-10}
evaluations=${2:-500}
shift $(($# < 2 ? $# : 2))
exec "${CARGO_TARGET_DIR:-target}/release/compare_search" --seeds "$seeds" --evaluations "$evaluations" \
    --results "${RESULTS:-search-results.jsonl}" --table "${TABLE:-recipe-table.jsonl}" --python "$venv/bin/python" "$@"
