#!/bin/bash
# Everything in this folder against the real binary: run.sh [PATH_OF_BERTH]
# Once with an independent bot, once with Berth's own; ends with one line `N passed, N failed, N skipped`.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$CLIENTS/../.." || exit 2
BERTH=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/berth}") || exit 2
export BERTH INSTANCE=main
"$CLIENTS/install.sh" || exit 1

finish() {
  "$CLIENTS/bots.sh" stop
  "$CLIENTS/server.sh" stop
}
trap finish EXIT

for bots in pybot berth; do
  echo "--- with the bots of $bots"
  finish
  SERVER=$("$CLIENTS/server.sh" start) || { SUITE=$bots expect the_server_starts false; continue; }
  "$CLIENTS/bots.sh" start $bots "$SERVER" $INSTANCE
  while IFS=: read -r release _; do
    # One release a round is enough for the second bot: the client does not see who runs its commands.
    [ $bots = berth ] && [ "$release" != 0.4.4 ] && continue
    "$CLIENTS/run_bgd.sh" "$SERVER" $INSTANCE "$release" </dev/null
  done <<<"$BGD_RELEASES"
  "$CLIENTS/run_reapi.sh" "$SERVER" $INSTANCE
  "$CLIENTS/run_bazel.sh" "$SERVER" $INSTANCE
  "$CLIENTS/run_crash.sh" "$SERVER" $INSTANCE
done

echo "--- with Coordinate's client"
"$CLIENTS/run_coordinate.sh" "$("$CLIENTS/server.sh" coordinate)"

echo "--- with BuildGrid's property sets"
"$CLIENTS/run_property_sets.sh"
summary
