#!/usr/bin/env bash
# A family of real models on two cores: SmolLM2-135M-Instruct and three short fine-tunes of it, made by `tailor heal`, with their tasks
# and a study of them.
#
#   benches/real/make.sh OUT [DATA]
#
# $FAMILY: everyday (commonsense, stories, mathematics) or science (science, novels, mathematics). DATA is a folder of documents as JSONL, one
# folder each (`FOLDERS` in tasks.py); without it they come from the hub's data sets. $TAILOR is our program, if it need not be built; $TOKENS the tokens
# of each fine-tune (40000); $RATE its highest learning rate (1e-4). What is there is not made again. Makes its own virtual environment.
set -euo pipefail
out=$(realpath -m "$1")
data=${2:+$(realpath "$2")}
family=${FAMILY:-everyday}
cd "$(dirname "$0")/../.."
source benches/peers/mergekit_venv.sh
"$venv/bin/python" -c "import gguf, accelerate" 2>/dev/null || "$venv/bin/pip" install -q gguf accelerate
if [ -z "${TAILOR:-}" ]; then
    cargo build --release -q -p tailor-llm
    TAILOR="${CARGO_TARGET_DIR:-target}/release/tailor"
fi

"$venv/bin/python" benches/real/convert.py "$out/smol"
"$venv/bin/python" benches/real/tasks.py "$out" "$family" ${data:+"$data"}
cp "benches/real/$family.toml" "$out/study.toml"

tune() { # NAME OPTIONS...: one fine-tune of the base
    if [ ! -f "$out/$1/model.safetensors" ]; then
        "$TAILOR" heal "$out/smol" "$out/$1" --tokens "${TOKENS:-40000}" --rate "${RATE:-1e-4}" "${@:2}"
    fi
}
case "$family" in
everyday)
    tune commonsense --objective choices --tasks real_csqa,real_piqa --include "$out/tasks"
    tune stories --objective lm --tasks real_hellaswag --include "$out/tasks"
    ;;
science)
    tune science --objective choices --tasks real_arc_easy,real_openbookqa --include "$out/tasks"
    tune novels --objective lm --tasks real_lambada --include "$out/tasks"
    ;;
esac
tune mathematics --objective lm --text "$out/mathematics.jsonl"
