#!/bin/sh
# Both directions with the Python package `huggingface_hub`, against a local server that answers as the hub does:
# what we have downloaded it finds offline, and what it has downloaded we find without a request.
# PYTHON names a Python that has the package. From the repository's root: sh crates/hub/tests/huggingface_hub.sh
set -eu
PYTHON=${PYTHON:-python3}
TRIED_WITH="$("$PYTHON" -c 'import huggingface_hub; print(huggingface_hub.__version__)')"
PYTHON="$PYTHON" cargo test --release -p tailor-hub --features download --test download -- --ignored --exact \
    the_python_package_and_we_find_each_others_downloads
echo "huggingface_hub $TRIED_WITH and tailor-hub find each other's downloads"
