# Which suites run when: what takes processors to compile first, then what waits most of its time side by side, and what
# measures one after another at the end, when nothing else runs. Then alone, too, what failed beside others.
# shellcheck shell=bash

# A suite is a file with the function suite_run. What of it measures is in suite_measure, and runs alone.
suite_file() { echo "tests/suites/${1%%-[0-9]*}.suite"; }
measures() { grep -q '^suite_measure()' "$(suite_file "$1")"; }

# As many as keep two processors busy: each waits for starts, drains and deadlines.
side_by_side=${PORTKEEP_TESTS_SIDE_BY_SIDE:-$(($(nproc) + 1))}

# The longest first.
by_length=(browser "${guest_versions[@]/#/guest-}" tls reload examples nix contract launchers metrics units)
# Whose work is compiling, or which load everything.
alone=(unit docs packages random clients tls-long sequences everywhere times scale fleet soak)

# By the process that leads a session of its own: what it runs, its log, and when it began.
declare -A lane_of log_of begun_of
# The process that ends when the time of the run is over, and whether it has.
give_up='' given_up=''

# lane PHASE SUITE is what such a process does.
lane() {
  phase=$1
  suite=$2 tally=$PORTKEEP_TALLY
  if [[ $phase = prepare ]]; then prepare "${@:2}"; return; fi
  # guest-252, guest-257 and so on are one suite with several machines.
  # shellcheck source=/dev/null
  . "$(suite_file "$suite")"
  case $phase in
    # Only what failed of it; see case_tests_beside.
    again) suite_run "$suite" ;;
    *) "suite_$phase" "$suite" ;;
  esac
}

# lane_start PHASE SUITE; a third word: its output is shown while it comes, not at the end.
lane_start() {
  local phase=$1 suite=$2 shown=${3:-} log command
  log=$logs/$suite.log
  [[ $phase != measure ]] || log=$logs/$suite-alone.log
  [[ $phase != again ]] || log=$logs/$suite-again.log
  [[ $phase != prepare ]] || log=$logs/prepare.log
  # A session of its own, so that all of it can be ended. Without a terminal's Ctrl-C, which comes here; but tests that send
  # one must not inherit that it is ignored, as it is for what a shell puts into the background.
  command=(env "--default-signal=INT,QUIT" setsid)
  [[ $phase != prepare ]] || command+=(nice -n 15)
  command+=(bash tests/run --lane "$phase" "$suite")
  # Guests outlive this; they must not keep the lock.
  if [[ -n $shown ]]; then
    case $phase in
      measure) echo "=== $suite, alone" ;;
      again) echo "=== $suite, what failed, again and alone" ;;
      *) echo "=== $suite" ;;
    esac
    "${command[@]}" "$log" </dev/null {lock}>&- &
  else
    "${command[@]}" >"$log" 2>&1 </dev/null {lock}>&- &
  fi
  lane_of[$!]="$phase $suite $shown" log_of[$!]=$log begun_of[$!]=$SECONDS
}

# Waits until one more has ended, and counts it.
lane_wait() {
  local ended='' status=0 phase suite shown
  wait -n -p ended "${!lane_of[@]}" ${give_up:+"$give_up"} || status=$?
  if [[ -n $give_up && $ended = "$give_up" ]]; then
    give_up=
    for ended in "${!lane_of[@]}"; do
      read -r phase suite shown <<<"${lane_of[$ended]}"
      [[ $phase = prepare ]] || case_failed "not ended after $PORTKEEP_TESTS_MINUTES minutes of the run"
    done
    given_up=yes
    lanes_end
    return
  fi
  read -r phase suite shown <<<"${lane_of[$ended]}"
  lane_ended "$ended" "$status"
  unset "lane_of[$ended]"
}

lane_ended() {
  local pid=$1 status=$2 phase suite shown line took=$((SECONDS - begun_of[$1]))
  read -r phase suite shown <<<"${lane_of[$pid]}"
  [[ $phase != prepare ]] || return 0
  [[ -n $shown ]] || { echo "=== $suite (after $took s)"; cat "${log_of[$pid]}"; }
  touch "$tally/$suite"
  # Without a failed case, a suite that broke off would count as passed.
  if [[ $status != 0 ]] && ! grep -q '^failed ' "$tally/$suite"; then
    case_failed "the suite ended early, with $status"
  fi
  [[ -s $tally/$suite ]] || case_failed "the suite ran no test"
  echo "$took" >>"$tally/$suite.seconds.$phase"
  while read -r line; do measured+=("$suite: ${line#*measured: }"); done < <(grep -a '^measured: ' "${log_of[$pid]}")
}

# Ends what still runs: all processes of their sessions, whatever groups these have made.
lanes_end() {
  local pid
  for pid in "${!lane_of[@]}"; do session_signal "$pid" TERM; done
  for pid in "${!lane_of[@]}"; do
    local deadline=$((SECONDS + 10))
    while session_signal "$pid" 0 && ((SECONDS < deadline)); do sleep 0.1; done
    session_signal "$pid" KILL
    [[ -z ${1:-} ]] && lane_ended "$pid" 143
    unset "lane_of[$pid]"
  done
}

# session_signal SESSION SIGNAL; fails when nobody is left in it.
session_signal() {
  local stat line fields found=1
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    # After the name, which may have any character: state, parent, group, session.
    read -r -a fields <<<"${line##*) }"
    [[ ${fields[3]} = "$1" && ${fields[0]} != Z ]] || continue
    line=${stat#/proc/}
    kill -s "$2" "${line%/stat}" 2>/dev/null && found=0
  done
  return "$found"
}

run_suites() {
  local first=() beside=() suite
  for suite in "${alone[@]}"; do [[ " ${suites[*]} " != *" $suite "* ]] || first+=("$suite"); done
  for suite in "${by_length[@]}"; do [[ " ${suites[*]} " != *" $suite "* ]] || beside+=("$suite"); done
  if [[ -n ${PORTKEEP_TESTS_MINUTES:-} ]]; then
    sleep "$((PORTKEEP_TESTS_MINUTES * 60))" {lock}>&- &
    give_up=$!
  fi
  # Compilers of tools that only tests need, and file systems of guests: beside the first suites, at low priority.
  [[ ${#beside[@]} = 0 ]] || lane_start prepare "${suites[*]}"
  for suite in "${first[@]}"; do run_alone run "$suite"; done
  if [[ ${#beside[@]} = 1 ]]; then
    run_alone run "${beside[0]}"
  else
    for suite in "${beside[@]}"; do
      while (($(running) >= side_by_side)); do lane_wait; done
      [[ -z $given_up ]] || break
      echo "... $suite runs (tests/.cache/logs/$suite.log)"
      lane_start run "$suite"
    done
    while (($(running) > 0)); do lane_wait; done
  fi
  for suite in "${beside[@]}"; do
    ! measures "$suite" || run_alone measure "$suite"
  done
  for suite in "${suites[@]}"; do
    [[ ! -s $tally/$suite.again ]] || run_alone again "$suite"
  done
  for suite in "${suites[@]}"; do
    [[ -s $tally/$suite ]] || case_failed 'the run ended before it'
  done
  lanes_end quietly
}

run_alone() {
  local suite=$2
  [[ -z $given_up ]] || { case_failed 'the run ended before all of it'; return; }
  lane_start "$1" "$2" shown
  while (($(running) > 0)); do lane_wait; done
}

# How many of the suites run; what is prepared beside them is none.
running() {
  local lane count=0
  for lane in "${lane_of[@]}"; do [[ $lane = prepare* ]] || count=$((count + 1)); done
  echo "$count"
}

run_ends() {
  lanes_end quietly
  [[ -z $give_up ]] || kill "$give_up" 2>/dev/null
  guests_down
  rm -rf "$tally"
}

# Two parts of a suite at the same time, in the same session, and what they print as a block each.
besides=()
beside() {
  local label=$1 output
  shift
  output=$(mktemp)
  # With job control, so that Ctrl-C is not ignored in it: tests send one to what they start.
  set -m
  ("$@") >"$output" 2>&1 </dev/null &
  set +m
  besides+=("$! $output $label")
}

beside_wait() {
  local one pid output label status
  for one in "${besides[@]}"; do
    read -r pid output label <<<"$one"
    status=0
    wait "$pid" || status=$?
    cat "$output"
    rm -f "$output"
    if [[ $status != 0 ]] && ! grep -q "^failed .*$label" "$tally/$suite"; then
      case_failed "$label ended early, with $status"
    fi
  done
  besides=()
}
