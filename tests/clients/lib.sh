# What the runners share: where things are, and how a case is told and counted. To be sourced.

CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CLIENTS_HOME=${CLIENTS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/berth/clients}    # what install.sh made; not in the repository
CLIENTS_OUT=${CLIENTS_OUT:-$CLIENTS_HOME/out}                                  # logs and work folders of the last run
BAZEL=${BAZEL:-/usr/bin/bazel-4}

# The releases of BuildGrid whose client is run, each with the first Python that it supports. The first line is for the
# Python that Debian ships; its virtual environment also runs pybot and the cases of run_reapi.sh.
BGD_RELEASES="0.4.4:3.9
0.9.1:3.13"
PYTHON=$CLIENTS_HOME/bgd-0.4.4/bin/python

# Coordinate's own client and its tests are for Python 2.7.
COORDINATE_RELEASE=0.1.5
PYTHON2=$CLIENTS_HOME/coordinate-$COORDINATE_RELEASE/bin/python

bgd_of() { echo "$CLIENTS_HOME/bgd-$1/bin/bgd"; }

# python_at_least 3.13: prints an interpreter that is new enough, Debian's own if it is, or fails.
python_at_least() {
  local candidate
  for candidate in /usr/bin/python3 python3 python3.13 python3.14 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python; do
    "$candidate" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$1'.split('.'))))" 2>/dev/null || continue
    command -v "$candidate"
    return
  done
  return 1
}

# Prints an interpreter of Python 2.7, or fails.
python2() {
  local candidate
  for candidate in python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null || continue
    command -v "$candidate"
    return
  done
  return 1
}

# Every case ends in one line of passed/failed/skipped in TALLY. A run of several suites shares one tally.
if [ -z "${TALLY:-}" ]; then
  TALLY=$(mktemp)
  TALLY_OWNER=$$
  export TALLY
fi

start_timer() { TIMER=$(date +%s.%N); }
seconds() { awk -v a="${TIMER:-0}" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }'; }

# expect NAME COMMAND...: the case passes if the command succeeds. DETAIL, if set, is printed beside it.
expect() {
  local name=$SUITE.$1 verdict
  shift
  if "$@" >/dev/null 2>&1; then verdict=passed; else verdict=failed; fi
  echo "$verdict $name" >>"$TALLY"
  printf '%-7s %-68s %6s s  %s\n' "$verdict" "$name" "$(seconds)" "${DETAIL:-}"
  DETAIL=
}

# skip NAME REASON: what this machine cannot run. CI must be able to run everything.
skip() {
  local verdict=skipped
  [ "${CI:-}" = true ] && verdict=failed
  echo "$verdict $SUITE.$1" >>"$TALLY"
  printf '%-7s %-68s           %s\n' "$verdict" "$SUITE.$1" "$2"
}

# wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# A zombie is no longer alive: where process 1 does not collect orphans, they stay.
alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
gone() { ! alive "$1"; }

tally() { grep -c "^$1 " "$TALLY"; }

# summary: the last line of a run, and its exit code. Only the process that opened the tally prints it.
summary() {
  local failed
  failed=$(tally failed)
  [ "${TALLY_OWNER:-}" = $$ ] || return "$((failed > 0))"
  if [ "$failed" -gt 0 ]; then sed -n 's/^failed /failed: /p' "$TALLY"; fi
  echo "$(tally passed) passed, $failed failed, $(tally skipped) skipped"
  rm -f "$TALLY"
  [ "$failed" = 0 ]
}
