#!/usr/bin/env bash
# What the queue of zo-search in PostgreSQL costs on this machine, on a server that it starts for itself (Debian's package
# `postgresql`): a table in Markdown, kept in target/postgres.md with date, processor and load. About three minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench -q -p zo-search --features postgres --bench postgres --no-run
mkdir -p target
{
    printf '%s, %s x %s, load %s\n\n' "$(date -u +%F)" "$(nproc)" "$(lscpu | sed -n 's/^Model name: *//p')" "$(cut -d' ' -f1-3 /proc/loadavg)"
    cargo bench -q -p zo-search --features postgres --bench postgres
    printf '\nload at the end %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
} | tee target/postgres.md
