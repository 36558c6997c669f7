#!/usr/bin/env bash
# A PostgreSQL server without administrator rights, on a node that other nodes reach: for a cluster that has none.
#
#   slurm-postgres.sh start [FOLDER]     (default: ~/tailor-postgres; on a local disk, or one that does fsync)
#   slurm-postgres.sh stop [FOLDER]
#
# The first start makes the database, a password, and a certificate of this host. It prints the line `store = ...` for a
# study. The password goes to ~/.pgpass (readable by you alone), the certificate to ~/tailor-postgres.crt; so every node
# that shares your home can connect. The files stay: start it again on the same host, and the studies go on.
#
# To change: $PORT (15432); $BIN, the folder of initdb, where it is not in the PATH (Debian: /usr/lib/postgresql/15/bin;
# conda and Apptainer images have it too); $HOST, the name by which the nodes reach this host; $CONNECTIONS (1000):
# about four for each worker; $PGPASSFILE and $CERTIFICATE, where the two files are.
set -euo pipefail
umask 077
data=${2:-$HOME/tailor-postgres}
port=${PORT:-15432} host=${HOST:-$(hostname -f)}
PATH=${BIN:+$BIN:}$PATH
passwords=${PGPASSFILE:-$HOME/.pgpass} certificate=${CERTIFICATE:-$HOME/tailor-postgres.crt}

create() {
    password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    initdb --pgdata="$data" --username=tailor --pwfile=<(echo "$password") --auth=scram-sha-256 --encoding=UTF8 \
        --locale=C > /dev/null
    # The server proves its name by it, and clients take no other one.
    openssl req -new -x509 -days 3650 -nodes -newkey rsa:2048 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" \
        -addext "basicConstraints=critical,CA:FALSE" -keyout "$data/server.key" -out "$data/server.crt" 2> /dev/null
    cp "$data/server.crt" "$certificate"
    cat >> "$data/postgresql.conf" << CONF
listen_addresses = '*'
port = $port
unix_socket_directories = '$data'
max_connections = ${CONNECTIONS:-1000}
ssl = on
CONF
    # Encrypted connections only, with the password.
    printf '%s\n' 'local all all scram-sha-256' 'hostssl all tailor all scram-sha-256' > "$data/pg_hba.conf"
    remember "$host" "$password"
    remember "$data" "$password"
    start
    createdb --host="$data" --port="$port" --username=tailor --no-password tailor
}

# Puts a password into the file of passwords, in the place of an older one.
remember() {
    touch "$passwords"
    chmod 600 "$passwords"
    others=$(awk -v start="$1:$port:*:tailor:" 'index($0, start) != 1' "$passwords")
    printf '%s\n' ${others:+"$others"} "$1:$port:*:tailor:$2" > "$passwords"
}

start() {
    pg_ctl --pgdata="$data" --log="$data/log" --wait start > /dev/null || { tail "$data/log" >&2; exit 1; }
}

case ${1:-} in
    start)
        if [ -e "$data/PG_VERSION" ]; then start; else create; fi
        echo "store = \"postgresql://tailor@$host:$port/tailor?sslmode=verify-full&sslrootcert=$certificate\""
        ;;
    stop) pg_ctl --pgdata="$data" --mode=fast stop ;;
    *)
        sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
