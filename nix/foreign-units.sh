# shellcheck shell=bash
# What a switch does about units that run, have the name of an app's unit, and are something else. A switch goes by the new
# file: it would reload a plain NAME.service by a command that hands over an app, and nothing of the app could start beside it.
#
# foreign-units.sh check|tell system|user PLACE NEW APP…
#   check  refuses, and says what to do
#   tell   only says it
# PLACE is where the manager finds the units that a switch replaces, NEW the directory of units that come.
set -euo pipefail
verb=$1 manager=$2 place=$3 new=$4
shift 4
# shellcheck source=nix/switch-tools.sh
. "${BASH_SOURCE[0]%/*}/switch-tools.sh"
need grep systemctl
[[ -d $new ]] || cannot "$new is no directory"

# The units of an app, as patterns: an instance for a template.
patterns() {
  local app=$1 unit name
  for unit in "$new/$app".* "$new/$app"-*.* "$new/$app"@*.*; do
    [[ -f $unit ]] || continue
    if is_of "$app" "$unit"; then
      name=${unit##*/}
      echo "${name/@./@*.}"
    fi
  done
}

# What a running unit is, if it is not what a switch would replace by the app's.
foreign() {
  local app=$1 unit=$2 fragment
  fragment=$(control show --property=FragmentPath --value -- "$unit") || cannot "$systemctl show $unit failed"
  if [[ -z $fragment || ! -e $fragment ]]; then
    echo "has no file any more"
  elif ! is_of "$app" "$fragment"; then
    echo "is not portkeep's ($fragment)"
  elif [[ $fragment != "$place"/* ]]; then
    echo "is of another place ($fragment)"
  fi
}

refused=0
for app; do
  names=$(patterns "$app")
  [[ -n $names ]] || continue
  mapfile -t names <<<"$names"
  units=$(control list-units --all --full --plain --no-legend -- "${names[@]}") || cannot "$systemctl list-units failed"
  while read -r unit _ state _; do
    case $state in
      active | activating | reloading | refreshing | deactivating) ;;
      *) continue ;;
    esac
    what=$(foreign "$app" "$unit")
    [[ -n $what ]] || continue
    {
      echo "portkeep: $unit runs and $what, but the app $app needs the name."
      echo "Stop it, and switch again:"
      echo "  $systemctl stop $unit"
      echo "or give the app another name."
    } >&2
    refused=1
  done <<<"$units"
done
verdict "$verb" "$refused"
