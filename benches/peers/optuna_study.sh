#!/usr/bin/env bash
# Is a study that `tailor report --optuna` has written one of Optuna's? The real Optuna reads it, trial by trial as in the journal, draws its plots of
# it, and the real optuna-dashboard shows it, also while a search goes on.
#
#   benches/peers/optuna_study.sh [STUDY_DIR ...]
#
# Default: the quickstart (rungs, conditions), the same killed and resumed, resumed with more trials and warm-started from it, examples/pareto.toml (two objectives), and the
# journal of zo-search's golden test (every domain, failures, constraints). Prints lines that begin with ok, or fails. $TAILOR is our program, if it need
# not be built. Makes its own virtual environment in benches/peers/.venv-optuna; $VENV is another one.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${VENV:-benches/peers/.venv-optuna}
if [ -z "${VENV:-}" ] && [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q "optuna>=4" optuna-dashboard plotly matplotlib scikit-learn
    touch "$venv/ready"
fi
if [ -z "${TAILOR:-}" ]; then
    cargo build --release -q -p tailor-llm
    TAILOR="${CARGO_TARGET_DIR:-target}/release/tailor"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
optuna() { "$venv/bin/python" benches/peers/optuna_study.py "$@"; }
"$venv/bin/python" -c "import optuna, optuna_dashboard; print(f'optuna {optuna.__version__}, optuna-dashboard {optuna_dashboard.__version__}')"

if [ $# -eq 0 ]; then
    optuna live "$work/quick.db" "$TAILOR" search examples/quickstart.toml --out "$work/quick" --optuna "$work/quick.db" --quiet
    optuna compare "$work/quick/journal.jsonl" "$work/quick.db"
    "$TAILOR" resume "$work/quick" --trials 260 --optuna "$work/quick.db" --quiet >/dev/null
    "$TAILOR" search examples/quickstart.toml --out "$work/warm" --trials 60 --warm-start "$work/quick" --quiet >/dev/null
    "$TAILOR" search examples/pareto.toml --out "$work/pareto" --quiet >/dev/null
    for turn in 1 2 3 4 5; do
        command=(resume "$work/killed")
        [ -e "$work/killed" ] || command=(search examples/quickstart.toml --out "$work/killed")
        before=$(stat -c %Y.%s "$work/killed.db" 2>/dev/null || true)
        "$TAILOR" "${command[@]}" --optuna "$work/killed.db" --quiet >/dev/null &
        while [ "$before" = "$(stat -c %Y.%s "$work/killed.db" 2>/dev/null || true)" ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
        sleep "0.$turn"
        kill -9 $! 2>/dev/null || true
        wait $! 2>/dev/null || true
    done
    "$TAILOR" resume "$work/killed" --optuna "$work/killed.db" --quiet >/dev/null
    echo "killed five times while the database was kept up to date, then resumed:"
    optuna compare "$work/killed/journal.jsonl" "$work/killed.db"
    golden=crates/zo-search/tests/golden/optuna
    optuna compare "$golden/journal.jsonl" "$golden/study.sql"
    set -- "$work/quick" "$work/warm" "$work/pareto"
fi
for study in "$@"; do
    database=$work/$(basename "$study").db
    "$TAILOR" report "$study" --optuna "$database" >/dev/null
    optuna compare "$study/journal.jsonl" "$database"
    "$TAILOR" report "$study" --optuna "$database" >/dev/null
    optuna compare "$study/journal.jsonl" "$database"
    optuna plots "$database"
    optuna dashboard "$database"
done
