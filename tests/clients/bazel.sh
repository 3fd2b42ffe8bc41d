# How the runners call Bazel. To be sourced after lib.sh, with SUITE, SERVER and INSTANCE set; changes into a fresh copy
# of workspace/. Debian's Bazel is 4.2.3; the stubs stand for rules that it would otherwise download.

OUT=$CLIENTS_OUT/$SUITE
rm -rf "$OUT/workspace"
mkdir -p "$OUT"
cp -r "$CLIENTS/workspace" "$OUT/workspace"
cd "$OUT/workspace" || exit 2

STARTUP=(--output_user_root="$CLIENTS_OUT/bazel-root" --host_jvm_args=-Xmx512m --nohome_rc --noworkspace_rc)
# The silo is part of every action, so that this run starts with an empty cache.
SILO=$(date +%s%N)-$$
BUILD=(--remote_executor="grpc://$SERVER" --remote_instance_name="$INSTANCE"
  --spawn_strategy=remote --genrule_strategy=remote --remote_default_exec_properties=OSFamily=linux
  --incompatible_strict_action_env --action_env=SILO="$SILO" --test_env=SILO="$SILO" --define=MARK=/dev/null
  --jobs=50 --remote_timeout=60 --verbose_failures --color=no --curses=no --noshow_progress --show_result=0)
for stub in "$CLIENTS"/stubs/*; do BUILD+=(--override_repository="$(basename "$stub")=$stub"); done
trap '"$BAZEL" "${STARTUP[@]}" shutdown >/dev/null 2>&1' EXIT

# bazel LOG VERB ...: sets CODE, LOG and PROCESSES (Bazel's own count of what ran where).
bazel() {
  LOG=$OUT/$1.log
  local verb=$2
  shift 2
  [ "$verb" = clean ] || set -- "${BUILD[@]}" "$@"
  "$BAZEL" "${STARTUP[@]}" "$verb" "$@" >"$LOG" 2>&1
  CODE=$?
  PROCESSES=$(sed -n 's/^INFO: \([0-9]* process.*\)/\1/p' "$LOG" | tail -1)
}

# bazel_in_background LOG VERB ...: sets BACKGROUND, the process of the client.
bazel_in_background() {
  LOG=$OUT/$1.log
  local verb=$2
  shift 2
  "$BAZEL" "${STARTUP[@]}" "$verb" "${BUILD[@]}" "$@" >"$LOG" 2>&1 &
  BACKGROUND=$!
}
