# The guests of a run. They have names of their own, so that a developer's guests stay as they are.
# shellcheck shell=bash

# shellcheck source=tests/guests/versions.sh
. "$checkout/tests/guests/versions.sh"

guest() { "$checkout/tests/guests/guest" "$@"; }

# guest_start VERSION [OPTION…] boots it clean and names it $guest_name; guest_for tells apart those that a suite has at once.
guest_start() {
  guest_name=$1-suite-${suite%%-[0-9]*}${guest_for:+-$guest_for}
  guest up --fresh "${@:2}" "$guest_name" || { cannot_run "the guest with systemd $1 does not boot"; return 1; }
}

guests_down() {
  local state
  [[ $(id -u) = 0 ]] || return 0
  for state in "$checkout"/tests/.cache/guests/run/*-suite-*/; do
    [[ ! -d $state ]] || guest down "$(basename "$state")" 2>/dev/null
  done
}

# as_manager system|user COMMAND… in the guest, as the one whose manager it is.
as_manager() {
  local manager=$1 options=()
  shift
  [[ $manager = system ]] || options=(--user)
  guest run "${options[@]}" -e RUST_BACKTRACE=0 "$guest_name" -- "$@"
}
