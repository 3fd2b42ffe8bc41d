#!/bin/bash
# The tests that Coordinate's own Python package brings, against its door of a server: run_coordinate.sh HOST:PORT [fast] [workers]
#
#   fast       57 tests of client, chaining and queue
#   workers    8 tests with worker processes that are started, killed and overtaken; two minutes
#
# Without a name: both. The server is emptied before each test.
. "$(dirname "$0")/lib.sh"
SERVER=$1
shift
SUITE=coordinate
OUT=$CLIENTS_OUT/$SUITE
rm -rf "$OUT"
mkdir -p "$OUT" && cd "$OUT" || exit 2

if [ ! -x "$PYTHON2" ]; then
  skip all "no Python 2.7"
  summary
  exit
fi

# Some tests with workers have two seconds for what takes two seconds where nothing else runs. So waits are longer than the
# tests say, and what fails is tried again, ATTEMPTS times in all: a defect fails each time.
export BERTH_PATIENCE=${BERTH_PATIENCE:-4}
ATTEMPTS=3

# pytest_of NAME TEST...: verdicts are appended to NAME.verdicts.
pytest_of() {
  local name=$1
  shift
  PYTHONPATH=$CLIENTS/coordinate PYTHONDONTWRITEBYTECODE=1 BERTH_COORDINATE=$SERVER BERTH_VERDICTS=$OUT/$name.verdicts \
    "$PYTHON2" -m pytest -p against_a_server -p no:cacheprovider --basetemp "$OUT/$name.tmp" -W ignore --tb=short -rfE \
    --pyargs "${@/#/coordinate.tests.}" >>"$name.log" 2>&1 </dev/null
}

# tests NAME COUNT MODULE...
tests() {
  local name=$1 count=$2 attempt test
  shift 2
  start_timer
  pytest_of "$name" "$@"
  for ((attempt = 2; attempt <= ATTEMPTS; attempt++)); do
    for test in $(sed -n 's/^failed //p' "$name.verdicts"); do
      sed -i "/^failed ${test//[[\]]/.}$/d" "$name.verdicts"
      pytest_of "$name" "${test/./::}"
    done
  done
  sed "s/ / $SUITE./" "$name.verdicts" >>"$TALLY"
  DETAIL="$(grep -c '^passed' "$name.verdicts") of $count passed; $OUT/$name.log"
  expect "all_${name}_tests_ran" [ "$(wc -l <"$name.verdicts")" = "$count" ]
}

for name in ${*:-fast workers}; do
  case $name in
    fast) tests fast 57 test_job_client test_job_flow test_task_master test_job;;
    workers) tests workers 8 test_rejester_worker;;
    *) sed -n '2,8p' "$0" >&2; exit 2;;
  esac
done
summary
