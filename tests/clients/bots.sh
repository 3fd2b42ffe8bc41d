#!/bin/bash
# Bots for the runners: two with four slots and pool=default, one with one slot and pool=custom.
#
#   bots.sh start pybot HOST:PORT INSTANCE [pybot's options ...]
#   bots.sh start berth HOST:PORT INSTANCE [berth bot's options ...]     (BERTH names the binary)
#   bots.sh stop
#
# They say what kind of worker they are in the words that Bazel and BuildStream use. Start returns at once: a server
# keeps the jobs until the bots have come.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
FOLDER=$CLIENTS_OUT/bots
PROPERTIES=(--property OSFamily=linux --property OSFamily=Linux --property ISA=x86-64 --property container-image=none)

start() { # NAME POOL SLOTS
  local name=$1 pool=$2 slots=$3
  local -a command
  case $KIND in
    pybot)
      command=("$PYTHON" -B "$CLIENTS/pybot" --remote "$SERVER" --bot-id "pybot-$name" --capacity "$slots"
        --work-dir "$FOLDER/$name" --events "$FOLDER/$name.events");;
    berth)
      command=("$BERTH" bot --server "$SERVER" --bot-id "berth-$name" --slots "$slots" --work-dir "$FOLDER/$name");;
    *) echo "bots.sh: no such kind of bot: $KIND" >&2; exit 2;;
  esac
  "${command[@]}" --instance "$INSTANCE" "${PROPERTIES[@]}" --property "pool=$pool" "${OPTIONS[@]}" \
    >"$FOLDER/$name.log" 2>&1 </dev/null &
  echo $! >>"$FOLDER/pids"
}

stop() {
  local pid
  [ -f "$FOLDER/pids" ] || return 0
  while read -r pid; do kill "$pid" 2>/dev/null || true; done <"$FOLDER/pids"
  while read -r pid; do wait_until 15 gone "$pid" || kill -9 "$pid" 2>/dev/null || true; done <"$FOLDER/pids"
  rm -f "$FOLDER/pids"
}

case ${1:-} in
  start)
    KIND=$2 SERVER=$3 INSTANCE=$4
    shift 4
    OPTIONS=("$@")
    stop
    rm -rf "$FOLDER"
    mkdir -p "$FOLDER"
    start one default 4
    start two default 4
    start custom custom 1;;
  stop) stop;;
  *) sed -n '2,9p' "$0" >&2; exit 2;;
esac
