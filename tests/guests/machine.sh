# guest up, down, reboot, list: the life of a guest.
# shellcheck shell=bash

guest_up() {
  local fresh=no network=private binds=()
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --fresh) fresh=yes; shift ;;
      --bind) binds+=("--bind-ro=$2"); shift 2 ;;
      --network) network=$2; shift 2 ;;
      *) die "unknown option $1" ;;
    esac
  done
  [[ $# -le 1 ]] || die "options come before the guest: '$2' would be ignored"
  split_guest "${1:-}"
  if [[ -n $(guest_leader) && $fresh = no ]]; then
    wait_until_booted
    say "$guest runs already"
    return
  fi
  command -v systemd-nspawn >/dev/null || die "systemd-nspawn is missing: apt-get install systemd-container (tests/run does it)"
  guest_clean
  local rootfs target
  rootfs=$(guest_build "$version")
  mkdir -p "$state"
  # What this checkout builds is visible as /target; suites put finished programs into /opt/portkeep/bin.
  target=$(build_directory)
  mkdir -p "$cache/bin"
  binds+=("--bind-ro=$target:/target" "--bind-ro=$cache/bin:/opt/portkeep/bin" "--bind-ro=$checkout:/checkout")
  case $network in
    private) binds+=(--private-network) ;;
    host) ;;
    /*) binds+=("--network-namespace-path=$network") ;;
    *) die "'$network' is no network: write 'host', or the path of a network namespace" ;;
  esac
  (
    cgroup_enter
    # A session of its own outlives the caller's terminal; a mount namespace of its own makes
    # the overlay go away with the last process, whatever kills it.
    exec setsid unshare --mount --propagation slave \
      bash "$here/boot.sh" "$rootfs" "$state" "$owner-$guest" "$target" "${binds[@]}" >"$state/console.log" 2>&1 </dev/null
  ) &
  wait_until_booted
  say "$guest is up (systemd $version, network $network); in it: /target, /opt/portkeep/bin, /checkout"
}

build_directory() {
  local directory=${CARGO_TARGET_DIR:-$checkout/target}
  [[ $directory = /* ]] || directory=$checkout/$directory
  echo "$directory"
}

wait_until_booted() {
  local deadline=$((SECONDS + ${1:-60})) status
  while :; do
    status=
    [[ -z $(guest_leader) ]] || status=$(guest_run "$guest" -- systemctl is-system-running --wait 2>/dev/null || true)
    case $status in
      running) [[ $(guest_run "$guest" -- systemctl is-active user@1000.service) = active ]] && return ;;
      degraded)
        guest_run "$guest" -- systemctl --no-pager --failed >&2
        die "$guest booted with failed units" ;;
    esac
    if ((SECONDS >= deadline)); then
      tail -n 20 "$state/console.log" >&2
      die "$guest did not boot in time; its console is above and in $state/console.log"
    fi
    sleep 0.05
  done
}

guest_reboot() {
  split_guest "${1:-}"
  local before deadline=$((SECONDS + 60))
  before=$(guest_leader)
  [[ -n $before ]] || die "$guest does not run"
  guest_run "$guest" -- systemctl --no-block reboot
  while [[ -e /proc/$before ]]; do
    ((SECONDS < deadline)) || die "$guest does not go down"
    sleep 0.05
  done
  wait_until_booted
}

guest_down() {
  split_guest "${1:-}"
  local leader deadline=$((SECONDS + 20))
  leader=$(guest_leader)
  if [[ -n $leader ]]; then
    # SIGRTMIN+4 asks PID 1 to power off; what does not obey is killed with the cgroup.
    kill -s RTMIN+4 "$leader" 2>/dev/null || true
    while [[ -e /proc/$leader ]] && ((SECONDS < deadline)); do sleep 0.05; done
  fi
  guest_clean
}

guest_clean() {
  cgroup_remove
  rm -rf --one-file-system "$state"
}

guest_list() {
  local directory leader
  for directory in "$cache"/run/*/; do
    [[ -d $directory ]] || continue
    split_guest "$(basename "$directory")"
    leader=$(guest_leader)
    if [[ -n $leader ]]; then
      echo "$guest is up, its PID 1 is process $leader here"
    else
      echo "$guest is left over from a killed run: guest down $guest"
    fi
  done
}
