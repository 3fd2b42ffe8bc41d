#!/bin/bash
# The bundled policy `property-sets` against the classes of BuildGrid that it stands for: random configurations, platforms
# and bots, each question with BuildGrid's own answer: run_property_sets.sh [QUESTIONS]
. "$(dirname "$0")/lib.sh"
QUESTIONS=${1:-5000}
SUITE=property-sets
OUT=$CLIENTS_OUT/$SUITE
BUILDGRID=$CLIENTS_HOME/bgd-0.9.1/bin/python
rm -rf "$OUT"
mkdir -p "$OUT" && cd "$CLIENTS/../.." || exit 2

if [ ! -x "$BUILDGRID" ]; then
  skip all "no Python that BuildGrid 0.9 supports"
  summary
  exit
fi

start_timer
"$BUILDGRID" plugins/property-sets/compare/ask_buildgrid.py "$QUESTIONS" >"$OUT/answers" 2>"$OUT/buildgrid.log"
export BUILDGRID_ANSWERS=$OUT/answers
compare() { cargo test --manifest-path plugins/Cargo.toml --package property-sets -- --ignored the_answers_are >"$OUT/log" 2>&1; }
compared() { [ "$(wc -l <"$OUT/answers")" = "$QUESTIONS" ] && compare && grep -q '^test result: ok. 1 passed' "$OUT/log"; }
DETAIL="$QUESTIONS questions; $OUT/log" expect the_answers_are_those_of_buildgrid compared
summary
