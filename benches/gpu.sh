#!/usr/bin/env bash
# On a machine with a GPU: do its answers agree with the CPU's, and how fast is a forward pass of a Llama-2-7B-shaped model with random
# weights (13 GB, written to $TMPDIR for the time of the run), beside transformers and the GPU's own matrix product?
#
#   benches/gpu.sh --device cuda|wgpu[:INDEX] [--bin FOLDER] [--shape llama-7b] [--dtypes "f32 bf16"] [--batch 8] [--length 256] [--turns 5]
#
# FOLDER holds `tailor`, `make_model`, `forward` and `device_parity` (a test binary) where they cannot be built; without it they are.
# transformers' rows are there if python3 has it and a torch that sees the GPU. Prints a table and keeps it in target/.
set -euo pipefail
cd "$(dirname "$0")/.."
device='' bin='' shape=llama-7b dtypes='f32 bf16' batch=8 length=256 turns=5
while [ $# -gt 1 ]; do
    case $1 in
        --device) device=$2 ;; --bin) bin=$2 ;; --shape) shape=$2 ;; --dtypes) dtypes=$2 ;;
        --batch) batch=$2 ;; --length) length=$2 ;; --turns) turns=$2 ;;
        *) echo "gpu.sh: $1 is unknown; the first lines of this file say what is known" >&2; exit 1 ;;
    esac
    shift 2
done
[ $# = 0 ] && [ -n "$device" ] || { echo 'gpu.sh: say --device cuda or --device wgpu, and a value after each word' >&2; exit 1; }

export TAILOR_TEST_DEVICE=$device XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$(mktemp -d)}
if [ -z "$bin" ]; then
    kind=${device%%:*}
    select=(--release -p tailor-llm -p tailor-benches -p layer-runtime)
    [ "$kind" = cpu ] || select+=(--features "layer-runtime/$kind")
    cargo build "${select[@]}"
    parity=(cargo test -q "${select[@]}" --test device_parity --)
    bin=${CARGO_TARGET_DIR:-target}/release
else
    parity=(env "CARGO_MANIFEST_DIR=$PWD/crates/layer-runtime" "$bin/device_parity")
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/tailor" devices | tee "$work/devices"
case $device in *:* | cpu) listed=$device ;; *) listed=$device:0 ;; esac
name=$(awk -v d="$listed" '$1 == d { sub(/^[^ ]+ +[^ ]+ +/, ""); print }' "$work/devices")
if "${parity[@]}" --nocapture >"$work/parity" 2>&1; then agrees=yes; else agrees='**NO**'; fi
grep -E ' on |panicked|differ' "$work/parity" || cat "$work/parity"

# The value behind a key in a line of JSON.
value() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\(, [a-z][^\",}]*\)*\).*/\1/p"; }
row() { # who, type, tokens/s, GFLOP/s, log-likelihood
    awk -v w="$1" -v t="$2" -v r="$3" -v f="$4" -v l="$5" 'BEGIN { printf "| %s | %s | %.0f | %.1f | %.3f |\n", w, t, r, f / 1000, l }'
}
"$bin/make_model" "$shape" "$work/model"
gpu=no
if python3 -c 'import torch, transformers; assert torch.cuda.is_available()' 2>/dev/null; then gpu=yes; fi
run=(--batch "$batch" --length "$length" --turns "$turns")
per_token=0
for dtype in $dtypes; do
    if ours=$("$bin/forward" "$work/model" --dtype "$dtype" --device "$device" --bank-mib 40000 "${run[@]}" 2>"$work/complaint"); then
        rate=$(value tokens_per_second <<<"$ours") gflops=$(value gflops <<<"$ours")
        row tailor "$dtype" "$rate" "$gflops" "$(value log_likelihood <<<"$ours")"
        per_token=$(awk -v f="$gflops" -v r="$rate" 'BEGIN { print f / r }')
    else
        echo "| tailor | $dtype | $(tail -n 1 "$work/complaint" | tr '|' '/') | | |"
    fi
    [ "$gpu" = yes ] || continue
    theirs=$(python3 benches/peers/forward.py "$work/model" --dtype "$dtype" --device cuda "${run[@]}" 2>/dev/null)
    rate=$(value tokens_per_second <<<"$theirs")
    gflops=$(awk -v r="$rate" -v p="$per_token" 'BEGIN { print r * p }')
    row "$(value peer <<<"$theirs")" "$dtype" "$rate" "$gflops" "$(value log_likelihood <<<"$theirs")"
    python3 - "$dtype" <<'PYTHON'
import sys, time
import torch

dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[1]]
a, b = (torch.randn(8192, 8192, dtype=dtype, device="cuda") for _ in "ab")
times = []
for _ in range(12):
    torch.cuda.synchronize()
    begin = time.perf_counter()
    a @ b
    torch.cuda.synchronize()
    times.append(time.perf_counter() - begin)
median = sorted(times[2:])[5]  # after two to warm up
print(f"| torch, product of 8192 x 8192 | {sys.argv[1]} | | {2 * 8192**3 / median / 1e12:.1f} | |")
PYTHON
done >"$work/rows"

mkdir -p target
{
    printf '**%s** (`%s`), %s, %d x %d tokens, median of %d; agrees with the CPU: %s\n\n' \
        "${name:-not listed}" "$device" "$shape" "$batch" "$length" "$turns" "$agrees"
    printf '| | type | tokens/s | TFLOP/s | first prompt'"'"'s log-likelihood |\n|---|---|---:|---:|---:|\n'
    cat "$work/rows"
} | tee "target/gpu-${device/:/-}.md"
[ "$agrees" = yes ]
