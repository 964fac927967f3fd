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
  [[ $phase != again ]] || return 0
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
    if [[ $line =~ ^\ *(TRY\ 2\ )?(PASS|FAIL)\ \[\ *([0-9]+)\.([0-9]{3})s\]\ *(\([^\)]*\)\ *)?(.*) ]]; then
      case_took "$((10#${BASH_REMATCH[3]}${BASH_REMATCH[4]}))" "$label: ${BASH_REMATCH[6]}"
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
  [[ $phase != again ]] || return 0
  local output
  output=$(mktemp)
  tests_run "$@"
  tests_count
  rm -f "$output"*
}

# The same for tests that run beside other suites, whose command takes `--exact NAME…`. What fails is tried again at the end of
# the run, alone: a fault fails again. What passes then counts as passed, but as unsteady too, with its reason; the summary
# names it and bears few. See run_suites.
# case_tests_beside LABEL COMMAND…
case_tests_beside() {
  local output label=$1 names=()
  shift
  mapfile -t names < <(again_names "$label")
  [[ $phase != again || ${#names[@]} -gt 0 ]] || return 0
  output=$(mktemp)
  if [[ $phase = again ]]; then
    tests_run "$label" "$@" --exact "${names[@]}"
    again_count "$label" "${names[@]}"
  else
    tests_run "$label" "$@"
    again_note "$label"
  fi
  tests_count
  rm -f "$output"*
}

# What is to be tried again, a line each: LABEL: NAME.
again_names() { [[ ! -e $tally/$suite.again ]] || sed -n "s|^$1: ||p" "$tally/$suite.again"; }

# Whether a suite has anything to do for these labels (a pattern). Guests need not boot where it has not.
wanted() {
  local line
  [[ $phase = again ]] || return 0
  while IFS= read -r line; do
    # shellcheck disable=SC2053
    [[ $line != $1:* ]] || return 0
  done <"$tally/$suite.again"
  return 1
}

# Takes what failed out of $output.cases and .why, unless it is so much that nobody would believe in a busy machine.
again_note() {
  local label=$1 count
  count=$(grep -c "^failed $label: " "$output.cases")
  ((count > 0 && count <= unsteady_limit)) || return 0
  echo "$count of $label are tried again at the end, alone"
  sed -n "s|^failed $label: |$label: |p" "$output.cases" >>"$tally/$suite.again"
  sed -i "\\|^failed $label: |d" "$output.cases"
  cat "$output.why" >>"$tally/$suite.first"
  : >"$output.why"
}

again_left() {
  [[ ! -s $tally/$1.again ]] || grep -vxF -f <(cat "$tally/$1.tried" 2>/dev/null) "$tally/$1.again"
}

again_count() {
  local label=$1 name
  for name in "${@:2}"; do
    echo "$label: $name" >>"$tally/$suite.tried"
    if grep -qxF "passed $label: $name" "$output.cases"; then
      echo "unsteady $label: $name" >>"$tally/$suite"
      grep -F "$label: $name: " "$tally/$suite.first" >>"$tally/$suite.why"
    elif ! grep -qxF "failed $label: $name" "$output.cases"; then
      echo "failed $label: $name" >>"$tally/$suite"
    fi
  done
}

# Leaves the cases in $output.cases and what the failed ones said in $output.why.
tests_run() {
  local label=$1 status counted
  shift
  echo "--- $label"
  "$@" 2>&1 | case_lines "$label" | tee "$output"
  status=${PIPESTATUS[0]}
  sed -nE \
    -e "s|^test (.*) \.\.\. ok\$|passed $label: \1|p" \
    -e "s|^test (.*) \.\.\. FAILED\$|failed $label: \1|p" \
    -e "s|^ *(TRY 2 )?PASS \[[^]]*\] *(\([^)]*\) *)?(.*)|passed $label: \3|p" \
    -e "s|^ *(TRY 2 )?(FAIL\|TIMEOUT\|TMT\|SIG[A-Z]+\|ABORT) \[[^]]*\] *(\([^)]*\) *)?(.*)|failed $label: \4|p" \
    -e "s|^ *FLAKY 2/2 \[[^]]*\] *(\([^)]*\) *)?(.*)|unsteady $label: \2|p" \
    "$output" | sort -u >"$output.cases"
  tests_why "$label" >"$output.why"
  # With --nocapture, a test's output stands between its name and its result: libtest's own list of
  # failures and its count are what can be relied on.
  counted=$(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed.*/\1 \2/p' "$output" | awk '{ p += $1; f += $2 } END { print p+0, f+0 }')
  if [[ $status != 0 ]] && ! grep -q '^failed ' "$output.cases"; then
    echo "failed $label ended with $status (${counted/ / passed, } failed)" >>"$output.cases"
  fi
}

tests_count() {
  cat "$output.cases" >>"$tally/$suite"
  [[ ! -s $output.why ]] || cat "$output.why" >>"$tally/$suite.why"
}

# A few lines of what each failed case said: LABEL: NAME: LINE. libtest has a block with its name, nextest one that begins with
# the result; a case of the browser says it before its result.
tests_why() {
  awk -v label="$1" '
    FNR == NR { if (sub("^(failed|unsteady) " label ": ", "")) failed[$0] = 1; next }
    function say(name, line) { if (said[name]++ < 6) print label ": " name ": " substr(line, 1, 300) }
    /^---- .* stdout ----$/ || /^ *(TRY [12] )?(FAIL|TIMEOUT|TMT|ABORT|SIG[A-Z]+) \[/ {
      block = $0
      # What nextest shows of a case begins with what libtest made of it.
      skips = !/^---- /
      sub(/^---- /, "", block); sub(/ stdout ----$/, "", block)
      sub(/^ *(TRY [12] )?[A-Z]+ \[[^]]*\] *(\([^)]*\) *)?/, "", block)
      next
    }
    /^(failures|successes):$/ || /^ *(TRY 2 )?(PASS|Summary) / { block = ""; next }
    /^test .* \.\.\. FAILED$/ {
      name = substr($0, 6, length($0) - 5 - 11)
      for (i = (count > 6 ? count - 6 : 0); i < count; i++) say(name, before[i])
      count = 0
      next
    }
    /^test .* \.\.\. ok$/ || /^running [0-9]+ test/ { count = 0; next }
    /panicked at / { skips = 0 }
    /^ *stack backtrace:$/ { block = "" }
    block in failed { if (!skips && $0 !~ /^(measured: .*|note: .*|[ -]*)$/) say(block, $0); next }
    { before[count++] = $0 }
  ' "$output.cases" "$output"
}

# So many of a run, and of a label, are borne; more are a fault of their own.
unsteady_limit=6

report_summary() {
  local suite phase passed failed skipped unsteady all_passed=0 all_failed=0 all_skipped=0
  echo
  printf '%-12s %7s %7s %8s %8s %8s\n' suite passed failed 'not run' seconds 'and alone'
  for suite in "${suites[@]}"; do
    # The time was over before they could be tried again.
    again_left "$suite" | sed 's/^/failed /' >>"$tally/$suite"
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
  unsteady=$(for suite in "${suites[@]}"; do sed -n "s/^unsteady /UNSTEADY: $suite: /p" "$tally/$suite"; done)
  if [[ -n $unsteady ]]; then
    echo "$unsteady"
    if (($(wc -l <<<"$unsteady") > unsteady_limit)); then
      echo "FAILED: more than $unsteady_limit cases passed when they were tried again only"
      all_failed=$((all_failed + 1))
    fi
  fi
  for suite in "${suites[@]}"; do [[ ! -s $tally/$suite.why ]] || sed -n "1,40s/^/  why: $suite: /p" "$tally/$suite.why"; done
  for suite in "${suites[@]}"; do sed -n "s/^failed /FAILED: $suite: /p" "$tally/$suite"; done
  echo "$SECONDS seconds; logs: tests/.cache/logs"
  ((all_skipped == 0)) || echo "$all_skipped not run, see above: this run proves less than it should"
  echo "$all_passed passed, $all_failed failed"
  ((all_failed == 0))
}

seconds_of() { tail -n 1 "$tally/$suite.seconds.$1" 2>/dev/null || echo 0; }
