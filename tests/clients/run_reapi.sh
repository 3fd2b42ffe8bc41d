#!/bin/bash
# What REAPI says, asked call by call, where a build tool would hide the answer: run_reapi.sh HOST:PORT INSTANCE [CASE ...]
. "$(dirname "$0")/lib.sh"
mkdir -p "$CLIENTS_OUT"
"$PYTHON" -B "$CLIENTS/reapi" --tally "$TALLY" --log "$CLIENTS_OUT/reapi.log" "$@"
summary
