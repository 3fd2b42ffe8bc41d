#!/bin/bash
# BuildGrid's own client against a server with the bots of bots.sh: run_bgd.sh HOST:PORT INSTANCE [RELEASE]
# Covers capabilities, CAS up and down, execution, action cache, pools, operations (status, wait, cancel, and lists with
# filters, orders and pages), Introspection with the stubs that come with it, and quotas where the release has them.
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

# Lists with filters, orders and pages, and who asked: what this invocation ran and nothing else.
BUILD=build-$TAG
WHO=(--remote "http://$SERVER" --instance-name "$INSTANCE" --invocation-id "$BUILD")
for number in 1 2 3; do
  echo "$TAG $number" >in/a.txt
  "$BGD" execute "${WHO[@]}" command in ./run.sh >"build-$number.log" 2>&1
done
"$BGD" execute "${WHO[@]}" command --disable-cancellation -p pool nowhere in ./run.sh >build-4.log 2>&1 &
waiter=$!
has_fourth() { grep -aq '^name:' build-4.log; }
wait_until 30 has_fourth
waiting=$(grep -aoE '^name: "[^"]+"' build-4.log | head -1 | cut -d'"' -f2)

# listed LOG FILTER OPTIONS... prints the names in a list
listed() {
  local log=$1 filter=$2
  shift 2
  "$BGD" operation "${REMOTE[@]}" list --filter "$filter" "$@" >"$log" 2>&1
  grep -aoE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' "$log"
}

start_timer
listed by-build.log "invocation_id=$BUILD & sort_order=queued_time" >by-build
DETAIL="operations: $(wc -l <by-build)"
four() { [ "$(wc -l <by-build)" = 4 ] && [ "$(tail -1 by-build)" = "${waiting##*/}" ]; }
expect a_filter_by_invocation_lists_its_operations_in_order four

start_timer
listed newest.log "invocation_id=$BUILD&stage=COMPLETED&sort_order=completed_time(desc)" >newest
turned() { [ "$(tac newest)" = "$(head -3 by-build)" ]; }
expect an_order_may_be_turned_round turned

start_timer
token= pages=0
: >paged
while :; do
  listed page.log "invocation_id=$BUILD & sort_order=queued_time" --page-size 1 ${token:+--page-token "$token"} >>paged
  pages=$((pages + 1))
  token=$(grep -aoE 'page-token "[^"]+"' page.log | cut -d'"' -f2)
  [ -n "$token" ] && [ $pages -lt 9 ] || break
done
DETAIL="pages: $pages"
same_pages() { cmp by-build paged; }
expect pages_of_one_give_the_same_list same_pages

start_timer
listed refused.log "pet=cat" >/dev/null
expect a_filter_that_is_none_is_refused_with_the_keys grep -aq 'queued_time' refused.log

start_timer
"$BGD" operation "${REMOTE[@]}" status --show-request-metadata "$waiting" >who.log 2>&1
DETAIL="needs a release that shows it"
shows_who() { [ "$RELEASE" = 0.4.4 ] || grep -aq "$BUILD" who.log; }
expect status_says_which_invocation_asked shows_who

# What BuildGrid's Introspection tells, asked for with its own stubs: the client has no command for it.
introspect() { "$(dirname "$BGD")/python" "$CLIENTS/introspection.py" "$SERVER" "$INSTANCE" "$@" 2>"introspect-$1.log"; }
if [ "$RELEASE" != 0.4.4 ]; then
  for case in workers filters "queued ${waiting##*/}" "history $(head -1 by-build)" "metadata $BUILD"; do
    start_timer
    # shellcheck disable=SC2086
    expect "introspection_tells_${case%% *}" introspect $case
  done
fi

start_timer
"$BGD" operation "${REMOTE[@]}" wait "$waiting" >wait.log 2>&1 &
watcher=$!
"$BGD" operation "${REMOTE[@]}" cancel "$waiting" >cancel-4.log 2>&1
expect wait_ends_when_the_operation_is_cancelled wait_until 15 gone $watcher
kill $waiter $watcher 2>/dev/null

if "$BGD" quota --help >/dev/null 2>&1; then
  QUOTA=("$BGD" quota --remote "http://$SERVER")
  start_timer
  "${QUOTA[@]}" put "$INSTANCE" unix --min-quota 1 --max-quota 3 >quota-put.log 2>&1
  "${QUOTA[@]}" get "$INSTANCE" unix >quota-get.log 2>&1
  "${QUOTA[@]}" list "$INSTANCE" >quota-list.log 2>&1
  # The older release has no `quota list`.
  is_listed() { ! "$BGD" quota list --help >/dev/null 2>&1 || grep -aq 'Min quota: 1' quota-list.log; }
  comes_back() { grep -aq 'Max quota: 3' quota-get.log && grep -aq 'Min quota: 1' quota-get.log && is_listed; }
  expect a_quota_comes_back comes_back

  start_timer
  "${QUOTA[@]}" put "$INSTANCE" nowhere --min-quota 1 --max-quota 3 >quota-bad.log 2>&1
  expect a_cohort_that_is_none_is_refused grep -aq 'expected one of unix' quota-bad.log

  start_timer
  "${QUOTA[@]}" delete "$INSTANCE" unix >quota-delete.log 2>&1
  "${QUOTA[@]}" get "$INSTANCE" unix >quota-gone.log 2>&1
  expect a_quota_that_was_deleted_is_gone grep -aqi 'not found' quota-gone.log
fi

summary
