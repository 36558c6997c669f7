#!/usr/bin/env bash
# One study as a HyperQueue task array: `hq` hands the workers to whatever machines its own workers run on.
#
#   hyperqueue.sh STUDY.toml OUT WORKERS
#
# The study says `store = "directory"` or a PostgreSQL URL, and `[runtime] device = "cuda"`. Needed: OUT and the models
# under the same paths everywhere, and `hq` (one file: github.com/It4innovations/hyperqueue/releases).
#
# Once before, on a login node:
#   hq server start --journal ~/hq.journal &            # the same command starts it again after a crash
#   hq worker start &                                   # on each machine of your own; finds its GPUs by itself
#   hq alloc add slurm --time-limit 24h -- --partition=gpu --gres=gpu:4   # or: whole nodes, as long as there are tasks
#
# To change: $RESOURCES, what a worker needs (one NVIDIA GPU and 4 cores; `--cpus=2` alone: none, with DEVICE=cpu);
# $TAILOR, the program (tailor); $WORK_OPTIONS, further options of `tailor work`.
#
# When an hq worker is lost, hq starts its tasks again elsewhere. A task whose program ends with an error stays failed:
# hq submit --array="$(hq job task-ids last --filter=failed)" ... ; the study goes on without it.
set -euo pipefail
if [ $# -lt 3 ] && [ -z "${HQ_TASK_ID:-}" ]; then
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
study=$(realpath "$1") out=$(realpath -m "$2")
tailor=${TAILOR:-tailor}

if [ -z "${HQ_TASK_ID:-}" ]; then
    read -ra resources <<< "${RESOURCES:---cpus=4 --resource gpus/nvidia=1}"
    exec hq submit --name tailor --array "0-$(($3 - 1))" "${resources[@]}" --crash-limit=unlimited \
        --env "TAILOR=$tailor" --env "DEVICE=${DEVICE:-cuda:0}" --env "WORK_OPTIONS=${WORK_OPTIONS:-}" \
        --stdout "$out-logs/%{TASK_ID}.out" --stderr "$out-logs/%{TASK_ID}.err" -- "$(realpath "$0")" "$study" "$out"
fi

# From here on: what each task runs.
if [ "$HQ_TASK_ID" = 0 ] && [ ! -e "$out/study.toml" ]; then
    exec "$tailor" --quiet search "$study" --out "$out"
fi
until [ -e "$out/study.toml" ]; do
    sleep 5
done
# hq sets CUDA_VISIBLE_DEVICES, so that a task's own GPU is `cuda:0`.
read -ra options <<< "${WORK_OPTIONS:-}"
exec "$tailor" --quiet work "$out" --device "${DEVICE:-cuda:0}" "${options[@]}"
