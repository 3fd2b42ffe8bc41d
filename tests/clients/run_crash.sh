#!/bin/bash
# Kills the server in the middle of a Bazel build of 300 actions: run_crash.sh HOST:PORT INSTANCE
# Needs the server and the bots of server.sh and bots.sh. The build must not notice, and no action may run twice.
. "$(dirname "$0")/lib.sh"
SERVER=$1 INSTANCE=$2
SUITE=crash
. "$CLIENTS/bazel.sh"

start_timer
mark=$OUT/ran
rm -f "$mark"
# Its back-off has to outlast the restart.
bazel_in_background build build //crash:every --define=MARK="$mark" --remote_retries=30
ran() { wc -l 2>/dev/null <"$mark" || echo 0; }
ran_or_over() { [ "$(ran)" -ge "$1" ] || gone $BACKGROUND; }
killed_after=
for actions in 60 160; do
  wait_until 120 ran_or_over $actions
  killed_after+="${killed_after:+ and }$(ran)"
  "$CLIENTS/server.sh" kill
  "$CLIENTS/server.sh" start >/dev/null || break
done
wait $BACKGROUND
CODE=$?
survived() { [ $CODE = 0 ] && [ "$(cat bazel-bin/crash/part*.txt | wc -l)" = 300 ]; }
DETAIL="bazel exits $CODE, killed after $killed_after actions" expect a_build_survives_two_kills survived
once() { [ "$(ran)" = 300 ] && [ "$(sort -u "$mark" | wc -l)" = 300 ]; }
DETAIL="300 actions ran $(ran) times" expect no_action_ran_twice once
summary
