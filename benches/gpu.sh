#!/usr/bin/env bash
# On a machine with a GPU: do its answers agree with the CPU's, and how fast is a forward pass of a Llama-2-7B-shaped model with random
# weights, beside transformers and the GPU's own matrix product?
#
#   benches/gpu.sh --device cuda|wgpu[:INDEX] [--bin FOLDER] [--shape llama-7b] [--dtypes "f32 bf16"] [--batch 8] [--length 256] [--turns 5]
#
# FOLDER holds `tailor`, `forward` and `device_parity` (a test binary) where they cannot be built; without it they are. transformers' rows
# are there if python3 has it and a torch that sees the GPU (and the shape is the default). Prints a table and keeps it in target/.
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
    select=(--release -p tailor -p tailor-benches -p layer-runtime)
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

# The number behind a key in a line of JSON.
number() { sed -n "s/.*\"$1\": *\([0-9.eE+-]*\).*/\1/p"; }
row() { # who, type, tokens/s, FLOP/s
    awk -v w="$1" -v t="$2" -v r="$3" -v f="$4" 'BEGIN { printf "| %s | %s | %.0f | %.1f |\n", w, t, r, f / 1e12 }'
}
per_token=0
for dtype in $dtypes; do
    if "$bin/forward" --shape "$shape" --dtype "$dtype" --device "$device" --batch "$batch" --length "$length" --turns "$turns" \
        >"$work/ours" 2>"$work/complaint"; then
        rate=$(number tokens_per_second <"$work/ours") flops=$(number flops <"$work/ours")
        row tailor "$dtype" "$rate" "$flops"
        per_token=$(awk -v f="$flops" -v r="$rate" 'BEGIN { print f / r }')
    else
        echo "| tailor | $dtype | $(tail -n 1 "$work/complaint" | tr '|' '/') | |"
    fi
done >"$work/rows"

if [ "$shape" = llama-7b ] && python3 -c 'import torch, transformers; assert torch.cuda.is_available()' 2>/dev/null; then
    for dtype in $dtypes; do
        python3 - "$dtype" "$batch" "$length" "$turns" <<'PYTHON' | while read -r who rate flops; do
import statistics, sys, time
import torch, transformers

dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[sys.argv[1]]
batch, length, turns = map(int, sys.argv[2:])
torch.set_default_device("cuda")

def seconds(work):
    times = []
    for turn in range(turns + 2):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[2:])  # after two to warm up

a, b = torch.randn(8192, 8192, dtype=dtype), torch.randn(8192, 8192, dtype=dtype)
print("product", 0, 2 * 8192**3 / seconds(lambda: a @ b))
torch.set_default_dtype(dtype)
model = transformers.LlamaForCausalLM(transformers.LlamaConfig()).eval()  # its defaults are Llama-2-7B's shape
ids = torch.randint(3, 32000, (batch, length))
with torch.inference_mode():
    print(f"transformers-{transformers.__version__},torch-{torch.__version__}", batch * length / seconds(lambda: model(ids)), 0)
PYTHON
            if [ "$who" = product ]; then
                awk -v t="$dtype" -v f="$flops" 'BEGIN { printf "| torch, product of 8192 x 8192 | %s | | %.1f |\n", t, f / 1e12 }'
            else
                row "$who" "$dtype" "$rate" "$(awk -v r="$rate" -v p="$per_token" 'BEGIN { print r * p }')"
            fi
        done
    done >>"$work/rows"
fi

mkdir -p target
{
    printf '**%s** (`%s`), %s, %d x %d tokens, median of %d; agrees with the CPU: %s\n\n' \
        "${name:-not listed}" "$device" "$shape" "$batch" "$length" "$turns" "$agrees"
    printf '| | type | tokens/s | TFLOP/s |\n|---|---|---:|---:|\n'
    cat "$work/rows"
} | tee "target/gpu-${device/:/-}.md"
[ "$agrees" = yes ]
