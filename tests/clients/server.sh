#!/bin/bash
# The server under test, on free ports of the loopback interface, with a data folder that is new for each run.
#
#   server.sh start      returns when it is ready, prints HOST:PORT    (BERTH names the binary)
#   server.sh coordinate prints HOST:PORT of the door for Coordinate's clients, while it runs
#   server.sh kill       SIGKILL, as a crash would; `start` then comes up on the same ports and data
#   server.sh stop       SIGTERM, and forgets ports and data
set -euo pipefail
. "$(dirname "$0")/lib.sh"
FOLDER=$CLIENTS_OUT/server
INSTANCE=${INSTANCE:-main}

free_ports() {
  python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(s.getsockname()[1] for s in held))'
}

ready() { (exec 3<>"/dev/tcp/127.0.0.1/$GRPC") 2>/dev/null; }
ready_or_gone() { ready || gone "$(cat "$FOLDER/pid")"; }

case ${1:-} in
  start)
    mkdir -p "$FOLDER/data"
    if [ ! -f "$FOLDER/ports" ]; then
      free_ports >"$FOLDER/ports"
      : >"$FOLDER/log"
    fi
    read -r GRPC HTTP COORDINATE <"$FOLDER/ports"
    printf '[[scheduler.cohorts]]\nname = "unix"\nlabels = ["linux"]\n' >"$FOLDER/berth.toml"
    setsid "$BERTH" serve --config "$FOLDER/berth.toml" --data "$FOLDER/data" --grpc "127.0.0.1:$GRPC" --http "127.0.0.1:$HTTP" \
      --coordinate "127.0.0.1:$COORDINATE" --instance "$INSTANCE" >>"$FOLDER/log" 2>&1 </dev/null &
    echo $! >"$FOLDER/pid"
    if ! wait_until 60 ready_or_gone || ! ready; then
      echo "server.sh: the server did not come up:" >&2
      tail -20 "$FOLDER/log" >&2
      exit 1
    fi
    echo "127.0.0.1:$GRPC";;
  coordinate)
    read -r _ _ COORDINATE <"$FOLDER/ports"
    echo "127.0.0.1:$COORDINATE";;
  kill)
    kill -9 "$(cat "$FOLDER/pid")"
    wait_until 10 gone "$(cat "$FOLDER/pid")";;
  stop)
    if [ -f "$FOLDER/pid" ] && alive "$(cat "$FOLDER/pid")"; then
      kill "$(cat "$FOLDER/pid")"
      wait_until 30 gone "$(cat "$FOLDER/pid")" || kill -9 "$(cat "$FOLDER/pid")"
    fi
    rm -rf "$FOLDER/data" "$FOLDER/ports" "$FOLDER/pid";;
  *) sed -n '2,8p' "$0" >&2; exit 2;;
esac
