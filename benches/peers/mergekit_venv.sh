# Sourced from the repository's root: makes the virtual environment of mergekit, torch and lm-evaluation-harness, unless it is there; `$venv` is its folder.
venv=benches/peers/.venv-candidate
if [ ! -f "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch "mergekit>=0.1.5" "lm_eval[hf]>=0.4.13" "transformers>=5" datasets
    touch "$venv/ready"
fi
