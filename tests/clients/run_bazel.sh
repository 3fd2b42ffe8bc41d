#!/bin/bash
# Real Bazel against a server with the bots of bots.sh: run_bazel.sh HOST:PORT INSTANCE [CASE ...]
# Each case builds a package of workspace/. No case finds results of an earlier run in the server's cache.
. "$(dirname "$0")/lib.sh"
SERVER=$1 INSTANCE=$2
shift 2
CASES=${*:-one many cached cproj fail tree links timeout large pool interrupt}
SUITE=bazel
. "$CLIENTS/bazel.sh"

wanted() { [[ " $CASES " == *" $1 "* ]]; }

if wanted one; then
  start_timer
  bazel one build //one:hello
  one() { [ $CODE = 0 ] && grep -q 'what goes in' bazel-bin/one/hello.txt && grep -q ' remote' <<<"$PROCESSES"; }
  DETAIL=$PROCESSES expect one_action one
fi

if wanted many; then
  start_timer
  bazel many build //many:every
  many() { [ $CODE = 0 ] && [ "$(cat bazel-bin/many/part*.txt | wc -l)" = 600 ] && grep -q '300 remote' <<<"$PROCESSES"; }
  DETAIL=$PROCESSES expect three_hundred_actions many
fi

if wanted cached; then
  start_timer
  bazel clean clean
  bazel cached build //many:every
  cached() { [ $CODE = 0 ] && grep -q '300 remote cache hit' <<<"$PROCESSES"; }
  DETAIL=$PROCESSES expect a_second_build_hits_the_cache cached
fi

if wanted cproj; then
  start_timer
  bazel cproj build //cproj/...
  built() { [ $CODE = 0 ] && grep -qx 'eight steps from 0: 36' bazel-bin/cproj/app/app.txt && bazel-bin/cproj/app/app; }
  DETAIL=$PROCESSES expect a_c_project_builds_and_its_program_runs built
  start_timer
  bazel ctest test //cproj/test:all --test_output=errors
  tested() { [ $CODE = 0 ] && grep -q 'Executed 2 out of 2' "$LOG"; }
  DETAIL=$PROCESSES expect its_tests_run_remotely tested
fi

if wanted fail; then
  start_timer
  bazel exits build //fail:exits_3
  exits() { [ $CODE = 1 ] && grep -q words-on-stderr "$LOG" && grep -qE 'Exit 3|exit.*3' "$LOG"; }
  DETAIL="bazel exits $CODE" expect an_exit_code_and_stderr_are_shown exits
  start_timer
  bazel forgets build //fail:forgets_its_output
  forgets() { [ $CODE = 1 ] && grep -qiE 'was not created|not all outputs were created' "$LOG"; }
  DETAIL="bazel exits $CODE" expect a_missing_output_is_an_error forgets
  start_timer
  bazel keep_going build --keep_going //fail:all
  keeps_going() { [ $CODE = 1 ] && grep -qx fine bazel-bin/fail/fine.txt; }
  DETAIL="bazel exits $CODE" expect a_failure_does_not_stop_the_others keeps_going
fi

if wanted tree; then
  start_timer
  bazel tree build //tree:all
  tree() { [ $CODE = 0 ] && [ "$(tr '\n' ' ' <bazel-bin/tree/folder.txt)" = "deep top ran " ] && [ -x bazel-bin/tree/folder/tool.sh ]; }
  DETAIL=$PROCESSES expect an_output_directory_becomes_an_input tree
fi

if wanted links; then
  start_timer
  bazel links build //links:all
  links() { [ $CODE = 0 ] && [ "$(readlink bazel-bin/links/link.txt)" = real.txt ] && grep -qx real bazel-bin/links/read.txt; }
  DETAIL=$PROCESSES expect an_output_may_be_a_symlink links
fi

if wanted timeout; then
  start_timer
  bazel timeout test //slow:sleeps --test_timeout=3
  timed_out() { [ $CODE = 3 ] && grep -qE 'TIMEOUT' "$LOG"; }
  DETAIL="bazel exits $CODE" expect a_test_that_hangs_is_ended_by_its_timeout timed_out
fi

if wanted large; then
  start_timer
  bazel large build //large:all
  large() { [ $CODE = 0 ] && grep -qx ' *6291456' bazel-bin/large/size.txt && grep -qx printed bazel-bin/large/printed.txt; }
  DETAIL=$PROCESSES expect outputs_larger_than_a_message large
fi

if wanted pool; then
  start_timer
  bazel pool build //pool:custom
  pool() { [ $CODE = 0 ] && grep -q '1 remote' <<<"$PROCESSES"; }
  DETAIL=$PROCESSES expect exec_properties_choose_a_pool pool
fi

if wanted interrupt; then
  # The operation of an interrupted build goes on, as REAPI has it. Building again joins it: its command runs once.
  start_timer
  mark=$OUT/interrupted
  rm -f "$mark" "$mark.go"
  bazel_in_background interrupt build //slow:slow --define=MARK="$mark"
  wait_until 60 test -s "$mark"
  kill -INT $BACKGROUND
  wait $BACKGROUND
  CODE=$?
  interrupted() { [ $CODE = 8 ]; }
  DETAIL="bazel exits $CODE" expect an_interrupt_ends_the_client interrupted
  start_timer
  bazel after build //one:hello --action_env=AFTER_INTERRUPT=1
  after() { [ $CODE = 0 ] && grep -q '1 remote' <<<"$PROCESSES"; }
  DETAIL=$PROCESSES expect the_next_build_works after
  start_timer
  bazel_in_background again build //slow:slow --define=MARK="$mark"
  touch "$mark.go"
  wait $BACKGROUND
  CODE=$?
  once() { [ $CODE = 0 ] && [ "$(wc -l <"$mark")" = 1 ]; }
  DETAIL="its command ran $(wc -l <"$mark") times" expect what_was_interrupted_ran_once once
fi
summary
