# shellcheck shell=bash
# What the scripts of a switch share. They are asked whether a switch may begin, so what cannot be found out is a refusal.

# Sourced with `manager`, "system" or "user".
control() {
  case $manager in
    system) systemctl "$@" ;;
    user) systemctl --user "$@" ;;
    *) cannot "'$manager' is neither system nor user" ;;
  esac
}

# What a person types.
# shellcheck disable=SC2034
case $manager in
  user) systemctl='systemctl --user' ;;
  *) systemctl=systemctl ;;
esac

cannot() {
  echo "portkeep: cannot check the switch: $*" >&2
  exit 1
}

# need TOOL…: a command that is missing answers like one that says no.
need() {
  local tool
  for tool; do
    command -v "$tool" >/dev/null || cannot "$tool is not in PATH ($PATH)"
  done
}

# is_active UNIT
is_active() {
  local status=0
  control is-active --quiet "$1" || status=$?
  case $status in
    0) ;;
    3 | 4) return 1 ;;
    *) cannot "$systemctl is-active $1 ended with $status" ;;
  esac
}

# is_of APP FILE: whether the file of a unit is portkeep's, and this app's.
is_of() {
  local status=0
  grep -qx "X-Portkeep-App=$1" "$2" || status=$?
  case $status in
    0) ;;
    1) return 1 ;;
    *) cannot "$2 cannot be read" ;;
  esac
}

# verdict VERB REFUSED: the end of a script.
verdict() {
  [[ $2 != 0 ]] || exit 0
  case $1 in
    tell) echo "portkeep: a switch is refused until then; a reboot does it, too." >&2 ;;
    check) echo "portkeep: nothing was changed." >&2; exit 1 ;;
    *) exit 1 ;;
  esac
}
