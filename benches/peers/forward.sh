#!/usr/bin/env bash
# Tokens per second of a forward pass: Tailor against transformers (torch) and llama.cpp, same weights, same prompts, in turn, as one table.
#
#   benches/peers/forward.sh [TURNS]                                                    (default: 5)
#   SETS="avx2 avx512" SHAPES=smollm2-135m DTYPES="f32 bf16" benches/peers/forward.sh   (parts of it)
#
# SHAPES  d512 (8 layers, 8 x 256 tokens), family (the bundled family's base, 64 x 64) and smollm2-135m (30 layers, 8 x 256); all with random weights
#         but the family's. smollm2-real, if named, is the real SmolLM2-135M-Instruct (see benches/real/convert.py).
# DTYPES  f32 and bf16; in f16 and Q8_0 there is llama.cpp alone.
# SETS    instruction sets that all programs are limited to: plain, avx2, avx512, amx; neon on aarch64; best is no limit (default).
# PEERS   torch and llama. THREADS: 2.
#
# llama.cpp computes the logits of a prompt's last token alone; it stands beside a pass of ours that scores nothing else either.
# Every side runs in processes of its own; the table shows medians of the turns. Makes benches/peers/.venv and, of an npm package with compiled
# libraries, benches/peers/.llama.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=benches/peers/.venv
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch "transformers>=5" safetensors numpy gguf accelerate
    touch "$venv/ready"
fi
"$venv/bin/python" -c "import gguf, accelerate" 2>/dev/null || "$venv/bin/pip" install -q gguf accelerate

PEERS=${PEERS:-torch llama}
llama=benches/peers/.llama
machine=$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
if [[ " $PEERS " == *" llama "* && ! -d $llama/node_modules ]]; then
    npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$llama" "@node-llama-cpp/linux-$machine@3.22.1"
fi

cargo build --release -q -p tailor-llm -p tailor-benches
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS="${THREADS:-2}" RAYON_NUM_THREADS="${THREADS:-2}"
exec "$venv/bin/python" benches/peers/forward_turns.py --turns "${1:-5}" --threads "${THREADS:-2}" --programs "${CARGO_TARGET_DIR:-target}/release" \
    --llama "$llama/node_modules/@node-llama-cpp/linux-$machine/bins/linux-$machine" --peers $PEERS \
    --shapes ${SHAPES:-d512 family smollm2-135m} --dtypes ${DTYPES:-f32 bf16 f16 Q8_0} --sets ${SETS:-best}
