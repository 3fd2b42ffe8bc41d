#!/bin/bash
# BuildGrid's own client against a server with the bots of bots.sh: run_bgd.sh HOST:PORT INSTANCE [RELEASE]
# Covers capabilities, CAS up and down, execution, action cache, pools, and operations: status, list, cancel.
. "$(dirname "$0")/lib.sh"
SERVER=$1 INSTANCE=$2 RELEASE=${3:-0.4.4}
SUITE=bgd-$RELEASE
BGD=$(bgd_of "$RELEASE")
REMOTE=(--remote "http://$SERVER" --instance-name "$INSTANCE")
OUT=$CLIENTS_OUT/$SUITE
rm -rf "$OUT"
mkdir -p "$OUT/in/sub" && cd "$OUT" || exit 2

if [ ! -x "$BGD" ]; then
  skip all "no Python that this release of bgd supports"
  summary
  exit
fi

TAG=$(date +%s%N)-$$    # no result of an earlier run may answer
echo "hello $TAG" >in/a.txt
echo deep >in/sub/b.txt
ln -s a.txt in/link
printf '#!/bin/sh\ncat a.txt > out.txt\necho to-stdout\n' >in/run.sh
printf '#!/bin/sh\nexit 7\n' >in/fail.sh
chmod +x in/*.sh

# execute LOG OPTIONS... runs one command remotely
execute() { local log=$1; shift; "$BGD" execute "${REMOTE[@]}" command "$@" >"$log" 2>&1; }
digest_in() { grep -oE '[0-9a-f]{64}/[0-9]+' "$1" | tail -1; }
updates_in() { grep -ac '^name:' "$1"; }

start_timer
"$BGD" capabilities "${REMOTE[@]}" >capabilities.log 2>&1
expect capabilities grep -qiE 'exec_?enabled"?: true' capabilities.log

start_timer
head -c 5242880 /dev/urandom >big.bin
"$BGD" cas "${REMOTE[@]}" upload-file big.bin >upload-file.log 2>&1
"$BGD" cas "${REMOTE[@]}" download-file "$(digest_in upload-file.log)" big.back >download-file.log 2>&1
expect a_file_of_5_MiB_comes_back cmp big.bin big.back

start_timer
"$BGD" cas "${REMOTE[@]}" upload-dir in >upload-dir.log 2>&1
"$BGD" cas "${REMOTE[@]}" download-dir "$(digest_in upload-dir.log)" back >download-dir.log 2>&1
same_folder() { diff -r in back || diff -r in back/in; }
expect a_folder_comes_back same_folder

start_timer
execute execute.log --output-file out.txt in ./run.sh
ran() { [ "$(cat testing/out.txt)" = "hello $TAG" ] && grep -q to-stdout execute.log; }
expect a_command_runs ran

start_timer
execute first.log -c --output-file out.txt in ./run.sh
execute second.log -c --output-file out.txt in ./run.sh
DETAIL="updates the second time: $(updates_in second.log)"
cached() { grep -aq "done: true" second.log && [ "$(updates_in second.log)" -le 2 ]; }
expect the_second_time_is_answered_from_the_cache cached

start_timer
execute pool.log -p pool custom in ./run.sh
custom() { grep -aq 'done: true' pool.log && grep -aq to-stdout pool.log; }
expect a_custom_pool_runs_it custom

start_timer
execute fail.log in ./fail.sh
expect a_failing_command_is_a_finished_operation grep -aq 'done: true' fail.log

# An operation that no bot can take, so that it stays queued until it is cancelled.
start_timer
"$BGD" execute "${REMOTE[@]}" command --disable-cancellation -p pool nowhere in ./run.sh >waiting.log 2>&1 &
waiter=$!
has_name() { grep -aq '^name:' waiting.log; }
wait_until 30 has_name
operation=$(grep -aoE '^name: "[^"]+"' waiting.log | head -1 | cut -d'"' -f2)
"$BGD" operation "${REMOTE[@]}" status "$operation" >status.log 2>&1
expect status_says_queued grep -aqi queued status.log

start_timer
"$BGD" operation "${REMOTE[@]}" list >list.log 2>&1
expect list_names_it grep -aq "${operation##*/}" list.log

start_timer
"$BGD" operation "${REMOTE[@]}" cancel "$operation" >cancel.log 2>&1
expect cancel_ends_the_waiting_client wait_until 15 gone $waiter
kill $waiter 2>/dev/null

start_timer
"$BGD" operation "${REMOTE[@]}" status "$operation" >cancelled.log 2>&1
expect status_says_cancelled grep -aqiE 'cancel|done: true|code: 1' cancelled.log
summary
