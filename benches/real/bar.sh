#!/usr/bin/env bash
# What does one refit bring on a real model? The mean accuracy of a fine-tune as it is, without its layers 12 to 17 (of 30), and without them but with
# one bridge: a least-squares fit to 8,000 tokens of the tasks' training splits, without training.
#
#   benches/real/bar.sh OUT [MODEL [FIRST LAST]]      (default: mathematics 12 17; OUT is the folder of make.sh)
#
# $LIMIT documents of each task's test split (80, five tasks), evaluated in $DTYPE (f32); a bridge of $TOKENS tokens (8000); $TAILOR is our program, if it
# need not be built. Results go to OUT/bar-MODEL-FIRST-LAST; what is there is not made again.
set -euo pipefail
out=$(realpath "$1")
model=${2:-mathematics} first=${3:-12} last=${4:-17}
cd "$(dirname "$0")/../.."
if [ -z "${TAILOR:-}" ]; then
    cargo build --release -q -p tailor-llm
    TAILOR="${CARGO_TARGET_DIR:-target}/release/tailor"
fi
# The study's tasks, in its order.
tasks=$(sed -n 's/^name = "\(real_.*\)"/\1/p' "$out/study.toml" | paste -sd,)
bar="$out/bar-$model-$first-$last"
mkdir -p "$bar"

{
    printf 'tailor: 1\nmodels: {base: %s}\nbase: base\nlayers:\n' "$out/$model"
    for layer in $(seq 0 29); do
        [ "$layer" -ge "$first" ] && [ "$layer" -le "$last" ] || printf -- '- take: {model: base, layer: %s}\n' "$layer"
    done
} > "$bar/cut.yaml"
[ -f "$bar/bridged.yaml" ] || "$TAILOR" bridge "$bar/cut.yaml" "$bar/bridged.yaml" --tasks "$tasks" --include "$out/tasks" --tokens "${TOKENS:-8000}"
for which in "$out/$model" "$bar/cut.yaml" "$bar/bridged.yaml"; do
    result="$bar/$(basename "$which" .yaml).json"
    [ -f "$result" ] || "$TAILOR" eval "$which" --tasks "$tasks,real_gsm8k_written" --include "$out/tasks" --limit "${LIMIT:-80}" --dtype "${DTYPE:-f32}" --quiet --output "$result" > /dev/null
done

python3 - "$bar" "$out/$model" "$tasks" <<'PYTHON'
"""The table, with how many documents a bridge mends and breaks."""
import json
import sys
from pathlib import Path

bar, whole = Path(sys.argv[1]), Path(sys.argv[2]).name
plain = ("real_last_word", "real_lambada", "real_gsm8k")
metrics = {task: "acc" if task in plain else "acc_norm" for task in sys.argv[3].split(",")}
print(f"| model | {' | '.join(metrics)} | mean | written |\n|---|{'---:|' * (len(metrics) + 2)}")
for name in (whole, "cut", "bridged"):
    results = json.loads((bar / f"{name}.json").read_text())["results"]
    scores = [100 * results[task][f"{metric},none"] for task, metric in metrics.items()]
    written = 100 * results["real_gsm8k_written"]["exact_match,number"]
    print(f"| {name} | {' | '.join(f'{score:.1f}' for score in scores)} | {sum(scores) / len(scores):.1f} | {written:.1f} |")
PYTHON
