#!/usr/bin/env bash
# The page of `tailor serve` in headless Chromium, against a running search: watch.mjs. Installs what it needs (Debian's chromium; playwright-core
# from npm into target/browser, which is only the driver). Screenshots: target/browser/shots.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
if ! command -v chromium >/dev/null; then
    sudo=$([ "$EUID" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends chromium
fi
[ -x target/release/tailor ] || cargo build --release -q -p tailor-llm
mkdir -p target/browser
[ -d target/browser/node_modules/playwright-core ] || npm install --prefix target/browser --no-save --no-audit --no-fund --silent playwright-core@1.64.1
# Modules are looked for beside the script.
cp crates/tailor/tests/browser/watch.mjs target/browser/
node target/browser/watch.mjs "$PWD/target/release/tailor" "$PWD" "$PWD/target/browser/shots"
