# What a fleet promises, a function a case. Each begins and ends with the same release on all hosts.
# shellcheck shell=bash

fleet() { "$checkout/tests/fleet/fleet" "$@"; }

apps=(app1 app2 app3)
# Requests a second: as many as this machine was seen to bear, and no more than these.
rates=(2000 1000 500 250)

# release VERSION [OPTION…] by the playbook.
release() { fleet play release -e "portkeep_release=/root/fleet/builds/$1" "${@:2}"; }

# wrong WORDS… is how a case fails.
wrong() { echo "wrong: $*" >&2; return 1; }

# everywhere VERSION: every host serves it.
everywhere() {
  local host serves
  for host in "${apps[@]}"; do
    serves=$(version_of "$host")
    [[ $serves = "$1" ]] || { wrong "$host serves ${serves:-nothing}, not $1"; return; }
  done
}

version_of() { fleet table | awk -v host="$1" '$1 == host { print $3 }'; }

# Waits until a host serves a version.
serves() {
  local deadline=$((SECONDS + 90))
  until [[ $(version_of "$1") = "$2" ]]; do
    ((SECONDS < deadline)) || { wrong "$1 does not serve $2"; return; }
    sleep 0.2
  done
}

# The balancer in front has found the hosts: answers ten times in a row.
balances() {
  local deadline=$((SECONDS + 60)) good=0
  while ((good < 10)); do
    if [[ $(fleet edge) = 200 ]]; then good=$((good + 1)); else good=0; fi
    ((SECONDS < deadline)) || { wrong 'the balancer does not find the hosts'; return; }
    sleep 0.1
  done
}

# The rate of the next case. A machine that could not bear more in one will not in the next.
rate() { if [[ -s $work/rate ]]; then cat "$work/rate"; else echo "${rates[0]}"; fi; }

# The highest rate at which the balancer in front answers in time while nothing else happens: a case at a higher one would take
# minutes to tell nothing.
find_bearable_rate() {
  local rate slowest=''
  balances || return
  for rate in "${rates[@]}"; do
    echo "$rate" >"$work/rate"
    fleet load 1 "$rate" >"$work/probe" 2>&1 || true
    slowest=$(jq -r '.latency.all.p99Milliseconds | floor' "$work/probe") || { cat "$work/probe"; return 1; }
    if jq -e '.failed == 0 and .latency.all.p99Milliseconds < 250' "$work/probe" >/dev/null; then break; fi
    echo "at $rate requests a second, one in a hundred takes $slowest ms or longer"
  done
  echo "$rate requests a second"
}

# under_load COMMAND…: a function of this file, while clients load the edge. What they saw is in $seen.
under_load() {
  balances || return
  local rate
  rate=$(rate)
  seen=$(mktemp -p "$work")
  { declare -p checkout work apps rates; declare -f; printf '%q ' "$@"; } >"$work/while"
  FLEET_WHILE="bash $work/while" fleet load 1 "$rate" >"$seen" 2>"$seen.said" || true
  jq -e . "$seen" >/dev/null || { cat "$seen" "$seen.said"; return 1; }
  jq -c '{requests, failed, failures, cut: .connections.cut, slowest: .latency.all.slowestMilliseconds, versions}' "$seen"
  echo "measured: $(jq --arg rate "$rate" -r '"\(.requests / .seconds | floor) of \($rate) requests a second were made for \(.seconds | floor) s"' "$seen"), by $1 ${2:-}"
}

# The same, at half the rate as long as the machine cannot answer as many: then hundreds wait for longer than clients do. A fault
# that has them wait shows at the lowest rate, too. AGAIN makes it so that there is something to do again.
# under_bearable_load AGAIN COMMAND…
under_bearable_load() {
  local tried
  for tried in 1 2 3; do
    under_load "${@:2}" || return
    jq -e '.failures.timedOut > 100 and .reloads.failed == 0' "$seen" >/dev/null || return 0
    echo "this machine cannot answer $(rate) requests a second beside what else it does (try $tried)"
    echo $(($(rate) / 2)) >"$work/rate"
    $1 || return
  done
}

# The command did what it should, enough was asked, and nothing was lost.
lost_nothing() {
  jq -e '.lossless and .requests > 1000' "$seen" >/dev/null || { jq . "$seen"; tail -n 60 "$work"/*.play; wrong 'requests were lost, or the command failed'; }
}

# recap HOST WORD: the number behind it in the recap of a playbook.
recap() { sed -nE "s/^$1 .* $2=([0-9]+).*/\1/p" "$work/$3.play"; }

played() {
  local name=$1 status=0
  shift
  "$@" >"$work/$name.play" 2>&1 || status=$?
  return "$status"
}

case_first_release() {
  fleet build v1 '{"version":"v1"}'
  played first release v1 || { tail -n 40 "$work/first.play"; return 1; }
  everywhere v1
}

case_good_release() {
  local version=$1
  fleet build "$version" "{\"version\":\"$version\"}"
  under_bearable_load something_else_serves played good release "$version" || return
  lost_nothing && everywhere "$version" || return
  echo "measured: a release rolled over 3 hosts in $(jq '.seconds | floor' "$seen") s, $(jq .requests "$seen") requests, $(jq .failed "$seen") failed"
}

something_else_serves() {
  fleet build v-between '{"version":"v-between"}'
  played between release v-between
}

case_nothing_changes_twice() {
  local host
  played again release "$1" && played check release "$1" --check || return
  for host in "${apps[@]}"; do
    [[ $(recap "$host" changed again) = 0 && $(recap "$host" changed check) = 0 ]] || { cat "$work/again.play"; wrong "$host changed"; return; }
  done
}

case_check_mode_changes_nothing() {
  local host
  fleet build v-check '{"version":"v-check"}'
  played check release v-check --check || return
  for host in "${apps[@]}"; do
    [[ $(recap "$host" changed check) -gt 0 ]] || { wrong "check mode says that nothing changes on $host"; return; }
    ! fleet run "$host" -- grep -rqs v-check /srv/shop || { wrong "check mode brought the release to $host"; return; }
  done
  everywhere "$1"
}

# It is gone from where it came to, and nobody else had it.
case_crashing_release() {
  local before=$1 host crashes failed
  fleet build v-crash '{"version":"v-crash","mode":{"segvAfterReady":{"afterMs":2000}}}'
  under_bearable_load true fails crash release v-crash || return
  jq -e '.reloads.failed == 0' "$seen" >/dev/null || { wrong 'the playbook did not fail'; return; }
  everywhere "$before" || return
  for host in app2 app3; do
    ! grep -q "^changed: \[$host\]" "$work/crash.play" || { wrong "$host was touched"; return; }
  done
  crashes=$(fleet run app1 -- portkeep history shop --all --json | jq '[.[] | select(.event == "crash")] | length')
  failed=$(jq .failed "$seen")
  echo "measured: a release that crashes: $crashes crashes on the first host, $failed of $(jq .requests "$seen") requests failed"
  # A crash cuts what is under way: at most a request of each of the 50 connections.
  ((crashes > 0 && failed <= 50 * crashes)) || wrong 'more was lost than the crash cut'
}

# The first host has it already, and goes back with the second.
case_crash_on_the_second_host() {
  local before=$1 status=0 playbook
  fleet build v-second '{"version":"v-second"}'
  played second release v-second -e portkeep_hold=20 &
  playbook=$!
  serves app2 v-second && fleet run app2 -- systemctl kill --signal KILL 'shop@*.service' || status=1
  ! wait "$playbook" || { wrong 'the playbook did not fail'; return; }
  [[ $status = 0 ]] || return
  everywhere "$before" || { tail -n 80 "$work/second.play"; return 1; }
  grep -q 'crashed' "$work/second.play" || wrong 'it does not say why'
}

# fails NAME COMMAND…: succeeds where it fails.
fails() { ! played "$@"; }

case_killed_playbook() {
  local version=$1
  fleet build "$version" "{\"version\":\"$version\"}"
  under_load killed_and_again "$version" || return
  lost_nothing && everywhere "$version"
}

killed_and_again() {
  played killed release "$1" &
  serves app1 "$1" || return
  fleet run edge -- systemctl kill --signal KILL playbook.service
  wait
  [[ $(version_of app3) != "$1" ]] || { wrong 'it was killed too late to mean anything'; return; }
  played again release "$1"
}

case_cut_network() {
  local version=$1 status=0
  fleet build "$version" "{\"version\":\"$version\"}"
  cut_in_the_middle "$version" || status=$?
  fleet mend app2
  [[ $status = 0 ]] || return "$status"
  played again release "$version" && everywhere "$version"
}

cut_in_the_middle() {
  local playbook
  played cut release "$1" &
  playbook=$!
  serves app1 "$1" || return
  fleet cut app2
  ! wait "$playbook" || { wrong 'the playbook succeeded without a host'; return; }
  grep -q 'app2.*unreachable=1' "$work/cut.play" || { tail -n 20 "$work/cut.play"; wrong 'it does not say that app2 is unreachable'; }
}

# One host after another, while the others answer.
case_reboots() {
  local host before after
  before=$(boots)
  under_bearable_load true played reboots fleet play reboot || return
  lost_nothing && nobody_is_drained || return
  after=$(boots)
  for host in "${apps[@]}"; do
    [[ $(grep "^$host " <<<"$before") != $(grep "^$host " <<<"$after") ]] || { wrong "$host was not rebooted"; return; }
  done
  everywhere "$1"
}

boots() {
  local host
  for host in "${apps[@]}"; do echo "$host $(fleet run "$host" -- systemctl show --property=UserspaceTimestamp)"; done
}

nobody_is_drained() {
  local host
  for host in "${apps[@]}"; do
    [[ $(fleet health "$host") = 200 ]] || { wrong "$host is not ready"; return; }
  done
}

# Balancers that were told, and send nothing all the same, lose what a reboot then cuts. An answer does not tell its host, so the
# hosts that are out serve another version.
case_most_are_taken_out() {
  local host status=0 answered deadline
  fleet build v-out '{"version":"v-out"}'
  played out release v-out --limit app1,app2 || { tail -n 40 "$work/out.play"; return 1; }
  # One that has just started, and that nobody has asked for anything.
  fleet balance "$1" && balances || return
  deadline=$((SECONDS + 25))
  for host in app1 app2; do fleet run "$host" -- portkeep drain shop --grace 0s || status=1; done
  until answered=$(answers 20) && [[ $answered != *v-out* ]]; do
    ((SECONDS < deadline)) || { status=1; wrong "25 s later, 20 answers are from: $answered"; break; }
  done
  for host in app1 app2; do fleet run "$host" -- portkeep undrain shop || status=1; done
  return "$status"
}

# The versions of so many answers.
answers() { for _ in $(seq "$1"); do fleet edge version; done | sort -u | tr '\n' ' '; }

# Killed while a host is out: the next run puts it back.
case_killed_reboots() {
  local deadline=$((SECONDS + 90))
  played killed fleet play reboot --limit app1 &
  until [[ $(fleet health app1) = 503 ]]; do
    ((SECONDS < deadline)) || { wrong 'app1 is never drained'; return; }
    sleep 0.2
  done
  fleet run edge -- systemctl kill --signal KILL playbook.service
  wait
  [[ $(fleet health app1) != 200 ]] || { wrong 'it was killed too late to mean anything'; return; }
  played again fleet play reboot --limit app1 && nobody_is_drained && everywhere "$1"
}

# A release that fails on a host that is taken out for it leaves no host out.
case_failed_release_leaves_nobody_drained() {
  fleet build v-exit '{"version":"v-exit","mode":"exit"}'
  fails drained release v-exit -e portkeep_release_drains=true || { wrong 'the playbook did not fail'; return; }
  grep -q '^changed: .app1. *$' "$work/drained.play" && nobody_is_drained && everywhere "$1"
}

case_host_without_portkeep() {
  local status=0
  fleet build v-nowhere '{"version":"v-nowhere"}'
  fleet run app3 -- mv /usr/local/bin/portkeep /usr/local/bin/portkeep.away
  ! played refused release v-nowhere -e portkeep_program= || status=1
  fleet run app3 -- mv /usr/local/bin/portkeep.away /usr/local/bin/portkeep
  [[ $status = 0 ]] || { wrong 'the playbook succeeded'; return; }
  grep -q 'app3 has no portkeep' "$work/refused.play" && ! grep -q '^changed:' "$work/refused.play" && everywhere "$1"
}

# An activation that fails is taken back by deploy-rs, which goes on in the background when it says so.
case_deploy_rs() {
  played nix-good by_deploy_rs '{"version":"n1"}' || { tail -n 40 "$work/nix-good.play"; return 1; }
  serves app2 n1 || return
  fails nix-exit by_deploy_rs '{"version":"n2","mode":"exit"}' || { wrong 'a version that exits was deployed'; return; }
  serves app2 n1 || return
  fails nix-crash by_deploy_rs '{"version":"n3","mode":{"segvAfterReady":{"afterMs":2000}}}' || { wrong 'a version that crashes was deployed'; return; }
  grep -q 'does not serve: generation .* crashed' "$work/nix-crash.play" || { tail -n 40 "$work/nix-crash.play"; wrong 'it does not say why'; return; }
  serves app2 n1
}

by_deploy_rs() { fleet run edge -- /checkout/tests/fleet/deploy-rs/deploy.sh "$1"; }
