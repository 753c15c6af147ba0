#!/usr/bin/env bash
# run-tests.sh NAME SCRIPT [ARGUMENT...]: runs an npm script of tests, leaves Vitest's report in .tmp/tests/NAME.json, and closes
# with what it came to.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

report=.tmp/tests/$1.json script=$2
shift 2
mkdir -p "${report%/*}"
rm -f "$report"
code=0
npm run --silent "$script" -- "$@" --reporter=default --reporter=json --outputFile.json="$report" || code=$?
node_modules/.bin/node scripts/count-tests.mjs "$report"
exit "$code"
