#!/usr/bin/env bash
# One study on several machines, by ssh alone: `tailor search` here, `tailor work` on every host.
#
#   ssh.sh STUDY.toml OUT HOST[=DEVICE,DEVICE..]...
#   ssh.sh study.toml /shared/found box1=cuda:0,cuda:1 box2=cuda:0 box3
#
# The study says `store = "directory"` or a PostgreSQL URL. Without devices, a host works on the study's own. A host
# that is named twice has two workers. Needed: OUT and the models under the same paths everywhere, and ssh to each host
# without a password.
#
# To change: $TAILOR, the program (tailor); $SSH, such as "ssh -F config"; $SLOTS, workers on each device (1); $LEASE,
# seconds (60). What the program reads of the environment (PGPASSFILE, TAILOR_CPU ...) must be set on the hosts.
#
# Logs and process numbers are in OUT-logs, one file for each worker. To stop one of them: ssh HOST kill -- -NUMBER.
# A worker that ends with an error is started again, five times. The search here may be killed too: the others go on.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
study=$(realpath "$1") out=$(realpath -m "$2")
shift 2
tailor=${TAILOR:-tailor}
read -ra ssh <<< "${SSH:-ssh}"
logs=$out-logs
mkdir -p "$logs"

if [ -e "$out/study.toml" ]; then
    begin=("$tailor" resume "$out")
else
    begin=("$tailor" search "$study" --out "$out")
fi
nohup "${begin[@]}" > "$logs/search.log" 2>&1 < /dev/null &
search=$!
until [ -e "$out/study.toml" ]; do
    # It ends before it makes the folder when something is wrong with the study.
    kill -0 "$search" 2> /dev/null || { cat "$logs/search.log" >&2; exit 1; }
    sleep 1
done

number=0
for host in "$@"; do
    number=$((number + 1))
    work=("$tailor" work "$out" --slots "${SLOTS:-1}" --lease "${LEASE:-60}")
    case $host in *=*) work+=(--device "${host#*=}") ;; esac
    host=${host%%=*}
    # A session of its own, so that one signal ends the loop and what it runs.
    loop="for try in 1 2 3 4 5 6; do $(printf '%q ' "${work[@]}") && break; sleep 10; done"
    log=$(printf '%q' "$logs/$number-$host")
    "${ssh[@]}" -n "$host" "setsid nohup sh -c $(printf '%q' "$loop") > $log.log 2>&1 < /dev/null & echo \$! > $log.pid"
    echo "worker $number on $host: $logs/$number-$host.log"
done
echo "search here: $logs/search.log, process $search"
wait "$search"
