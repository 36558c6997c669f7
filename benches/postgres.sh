#!/usr/bin/env bash
# What the queue of zo-search in PostgreSQL costs on this machine, on a server of its own (Debian's package
# `postgresql`): a table in Markdown, kept in target/postgres.md with date, processor and load. About three minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench -q -p zo-search --features postgres --bench postgres --no-run
mkdir -p target
{
    processor=$(lscpu | sed -n 's/^Model name: *//p')
    printf '%s, %s x %s, load %s\n\n' "$(date -u +%F)" "$(nproc)" "$processor" "$(cut -d' ' -f1-3 /proc/loadavg)"
    cargo bench -q -p zo-search --features postgres --bench postgres
    printf '\nload at the end %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
} | tee target/postgres.md
