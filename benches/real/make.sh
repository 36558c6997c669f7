#!/usr/bin/env bash
# A family of real models on two cores: SmolLM2-135M-Instruct and three short fine-tunes of it, made by `tailor heal`, with their tasks
# and a study of them.
#
#   benches/real/make.sh OUT [DATA]
#
# DATA is a folder of documents (csqa, hellaswag, piqa, gsm8k_step, gsm8k_text, gsm8k_calc as JSONL); without it they come from the hub's data sets.
# $TAILOR is our program, if it need not be built; $TOKENS the tokens of each fine-tune (40000); $RATE its highest learning rate (1e-4). What is there
# is not made again. Makes its own virtual environment.
set -euo pipefail
out=$(realpath -m "$1")
data=${2:+$(realpath "$2")}
cd "$(dirname "$0")/../.."
source benches/peers/mergekit_venv.sh
"$venv/bin/python" -c "import gguf, accelerate" 2>/dev/null || "$venv/bin/pip" install -q gguf accelerate
if [ -z "${TAILOR:-}" ]; then
    cargo build --release -q -p tailor-llm
    TAILOR="${CARGO_TARGET_DIR:-target}/release/tailor"
fi

"$venv/bin/python" benches/real/convert.py "$out/smol"
"$venv/bin/python" benches/real/tasks.py "$out" ${data:+"$data"}
cp benches/real/study.toml "$out/study.toml"

tune() { # NAME OPTIONS...: one fine-tune of the base
    if [ ! -f "$out/$1/model.safetensors" ]; then
        "$TAILOR" heal "$out/smol" "$out/$1" --tokens "${TOKENS:-40000}" --rate "${RATE:-1e-4}" "${@:2}"
    fi
}
tune commonsense --objective choices --tasks real_csqa,real_piqa --include "$out/tasks"
tune stories --objective lm --tasks real_hellaswag --include "$out/tasks"
tune mathematics --objective lm --text "$out/mathematics.jsonl"
