# Counting test cases and telling how it went.
# shellcheck shell=bash

logs=$checkout/tests/.cache/logs
tally=$(mktemp -d)
measured=()

# Runs suite_run with its output in the terminal and in a log, and adds a line to the table.
report_run() {
  suite=$1
  local started=$SECONDS log=$logs/$1.log status
  : >"$tally/$suite"
  echo "=== $suite"
  # Guests outlive this; they must not keep the lock.
  suite_run "$suite" 2>&1 {lock}>&- | tee "$log"
  status=${PIPESTATUS[0]}
  # Without a failed case, a suite that broke off would count as passed.
  if [[ $status != 0 ]] && ! grep -q '^failed ' "$tally/$suite"; then
    case_failed "the suite ended early, with $status"
  fi
  [[ -s $tally/$suite ]] || case_failed "the suite ran no test"
  echo "$((SECONDS - started))" >"$tally/$suite.seconds"
  while read -r line; do measured+=("$suite: ${line#*measured: }"); done < <(grep -a '^measured: ' "$log")
}

case_passed() { echo "passed $*" >>"$tally/$suite"; }
case_failed() { echo "failed $*" >>"$tally/$suite"; echo "FAILED: $suite: $*"; }
# Only where a person's machine lacks something; see require.sh.
case_skipped() { echo "skipped $*" >>"$tally/$suite"; echo "NOT RUN: $suite: $*"; }

# One test case that is one command.
case_command() {
  local name=$1
  shift
  echo "--- $name"
  if "$@"; then case_passed "$name"; else case_failed "$name (ended with $?)"; fi
}

# Runs a command that prints what libtest or nextest prints, and counts its cases.
# case_tests LABEL COMMAND…
case_tests() {
  local label=$1 output status counted
  shift
  output=$(mktemp)
  echo "--- $label"
  "$@" 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  sed -nE \
    -e "s|^test (.*) \.\.\. ok\$|passed $label: \1|p" \
    -e "s|^test (.*) \.\.\. FAILED\$|failed $label: \1|p" \
    -e "s|^ *PASS \[[^]]*\] *(\([^)]*\) *)?(.*)|passed $label: \2|p" \
    -e "s|^ *(FAIL\|TIMEOUT\|SIG[A-Z]+\|ABORT) \[[^]]*\] *(\([^)]*\) *)?(.*)|failed $label: \3|p" \
    "$output" | sort -u >"$output.cases"
  # With --nocapture, a test's output stands between its name and its result: libtest's own list of
  # failures and its count are what can be relied on.
  counted=$(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed.*/\1 \2/p' "$output" | awk '{ p += $1; f += $2 } END { print p+0, f+0 }')
  cat "$output.cases" >>"$tally/$suite"
  if [[ $status != 0 ]] && ! grep -q '^failed ' "$output.cases"; then
    case_failed "$label ended with $status (${counted/ / passed, } failed)"
  fi
  rm -f "$output" "$output.cases"
}

report_summary() {
  local suite passed failed skipped all_passed=0 all_failed=0 all_skipped=0
  echo
  printf '%-12s %7s %7s %8s %8s\n' suite passed failed 'not run' seconds
  for suite in "${suites[@]}"; do
    passed=$(grep -c '^passed ' "$tally/$suite")
    failed=$(grep -c '^failed ' "$tally/$suite")
    skipped=$(grep -c '^skipped ' "$tally/$suite")
    printf '%-12s %7d %7d %8d %8d\n' "$suite" "$passed" "$failed" "$skipped" "$(cat "$tally/$suite.seconds")"
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed)) all_skipped=$((all_skipped + skipped))
  done
  if [[ ${#measured[@]} -gt 0 ]]; then
    printf '\nmeasured\n'
    printf '  %s\n' "${measured[@]}"
  fi
  for suite in "${suites[@]}"; do sed -n "s/^skipped /NOT RUN: $suite: /p" "$tally/$suite"; done
  for suite in "${suites[@]}"; do sed -n "s/^failed /FAILED: $suite: /p" "$tally/$suite"; done
  echo "logs: tests/.cache/logs"
  ((all_skipped == 0)) || echo "$all_skipped not run, see above: this run proves less than it should"
  echo "$all_passed passed, $all_failed failed"
  rm -rf "$tally"
  ((all_failed == 0))
}
