#!/usr/bin/env bash
# Makes the certificates of the test of encrypted connections: an authority, a server `localhost` that it vouches for, and
# another authority. They hold for a hundred years; the keys of the authorities are thrown away. OpenSSL 3.
set -euo pipefail
cd "$(dirname "$0")"
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
for name in authority other; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=zo-search test $name" \
        -keyout "$keys/$name.key" -out "$name.crt"
done
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out "$keys/server.csr"
openssl x509 -req -in "$keys/server.csr" -CA authority.crt -CAkey "$keys/authority.key" -days 36500 -out server.crt \
    -extfile <(printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost')
