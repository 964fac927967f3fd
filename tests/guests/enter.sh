# guest run: a command inside.
# shellcheck shell=bash

guest_run() {
  local user=root home=/root directory='' environment=()
  while [[ ${1:-} == -* ]]; do
    case $1 in
      --user) user=dev home=/home/dev; shift ;;
      -e) environment+=("$2"); shift 2 ;;
      -C) directory=$2; shift 2 ;;
      *) die "unknown option $1" ;;
    esac
  done
  split_guest "${1:-}"
  shift
  # Options may follow the guest's name too.
  if [[ ${1:-} == -* && ${1:-} != -- ]]; then
    local options=()
    while [[ ${1:-} == -* && ${1:-} != -- ]]; do
      options+=("$1")
      case $1 in -e | -C) options+=("$2"); shift ;; esac
      shift
    done
    [[ $user = root ]] || options+=(--user)
    guest_run "${options[@]}" "$guest" "$@"
    return
  fi
  [[ ${1:-} != -- ]] || shift
  [[ $# -gt 0 ]] || set -- bash -l
  local leader
  leader=$(guest_leader)
  [[ -n $leader ]] || die "$guest does not run: tests/guests/guest up $guest"

  local command=(env -i
    PATH=/opt/portkeep/bin:/target/testing:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    "HOME=$home" "USER=$user" "LOGNAME=$user" SHELL=/bin/bash LANG=C.UTF-8 TERM="${TERM:-dumb}")
  if [[ $user = dev ]]; then
    command+=(XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus
      setpriv --reuid dev --regid dev --init-groups --)
  fi
  command+=(env --chdir "${directory:-$home}" "${environment[@]}" "$@")
  (
    # Inside the guest's tree, where its systemd knows the process; outside, it would see a path of "/../..".
    echo $BASHPID >"$(guest_cgroup)/payload/init.scope/cgroup.procs"
    exec nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup "${command[@]}"
  )
}
