# Counting test cases and telling how it went.
# shellcheck shell=bash

logs=$checkout/tests/.cache/logs
tally=${PORTKEEP_TALLY:-}
measured=()

case_passed() { echo "passed $*" >>"$tally/$suite"; }
case_failed() { echo "failed $*" >>"$tally/$suite"; echo "FAILED: $suite: $*"; }
# Only where a person's machine lacks something; see require.sh.
case_skipped() { echo "skipped $*" >>"$tally/$suite"; echo "NOT RUN: $suite: $*"; }

# One test case that is one command.
case_command() {
  local name=$1 begun=${EPOCHREALTIME//[.,]/} status=0
  shift
  echo "--- $name"
  "$@" || status=$?
  case_took "$(((${EPOCHREALTIME//[.,]/} - begun) / 1000))" "$name"
  if [[ $status = 0 ]]; then case_passed "$name"; else case_failed "$name (ended with $status)"; fi
}

# case_took MILLISECONDS NAME
case_took() { printf '%d\t%s\n' "$1" "$suite: ${*:2}" >>"$tally/times"; }

# Passes on what a runner of tests prints, and notes how long each case took: nextest says it; where cases come one after
# another, it is the time since the last one's line.
case_lines() {
  local label=$1 line last=${EPOCHREALTIME//[.,]/} now
  while IFS= read -r line || [[ -n $line ]]; do
    printf '%s\n' "$line"
    if [[ $line =~ ^\ *(PASS|FAIL)\ \[\ *([0-9]+)\.([0-9]{3})s\]\ *(\([^\)]*\)\ *)?(.*) ]]; then
      case_took "$((10#${BASH_REMATCH[2]}${BASH_REMATCH[3]}))" "$label: ${BASH_REMATCH[5]}"
    elif [[ $line =~ ^test\ (.*)\ \.\.\.\ (ok|FAILED)$ ]]; then
      now=${EPOCHREALTIME//[.,]/}
      case_took "$(((now - last) / 1000))" "$label: ${BASH_REMATCH[1]}"
      last=$now
    elif [[ $line =~ ^running\ [0-9]+\ test ]]; then
      last=${EPOCHREALTIME//[.,]/}
    fi
  done
}

# Runs a command that prints what libtest or nextest prints, and counts its cases.
# case_tests LABEL COMMAND…
case_tests() {
  local label=$1 output status counted
  shift
  output=$(mktemp)
  echo "--- $label"
  "$@" 2>&1 | case_lines "$label" | tee "$output"
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
  local suite phase passed failed skipped all_passed=0 all_failed=0 all_skipped=0
  echo
  printf '%-12s %7s %7s %8s %8s %8s\n' suite passed failed 'not run' seconds 'and alone'
  for suite in "${suites[@]}"; do
    passed=$(grep -c '^passed ' "$tally/$suite")
    failed=$(grep -c '^failed ' "$tally/$suite")
    skipped=$(grep -c '^skipped ' "$tally/$suite")
    printf '%-12s %7d %7d %8d %8d %8s\n' "$suite" "$passed" "$failed" "$skipped" \
      "$(seconds_of run)" "$([[ ! -e $tally/$suite.seconds.measure ]] || seconds_of measure)"
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed)) all_skipped=$((all_skipped + skipped))
  done
  if [[ -s $tally/times ]]; then
    printf '\nslowest, in seconds; all are in tests/.cache/logs/times\n'
    sort -rn "$tally/times" >"$logs/times"
    head -n 10 "$logs/times" | awk -F '\t' '{ printf "%8.1f  %s\n", $1 / 1000, $2 }'
  fi
  if [[ ${#measured[@]} -gt 0 ]]; then
    printf '\nmeasured\n'
    printf '  %s\n' "${measured[@]}"
  fi
  for suite in "${suites[@]}"; do sed -n "s/^skipped /NOT RUN: $suite: /p" "$tally/$suite"; done
  for suite in "${suites[@]}"; do sed -n "s/^failed /FAILED: $suite: /p" "$tally/$suite"; done
  echo "$SECONDS seconds; logs: tests/.cache/logs"
  ((all_skipped == 0)) || echo "$all_skipped not run, see above: this run proves less than it should"
  echo "$all_passed passed, $all_failed failed"
  ((all_failed == 0))
}

seconds_of() { tail -n 1 "$tally/$suite.seconds.$1" 2>/dev/null || echo 0; }
