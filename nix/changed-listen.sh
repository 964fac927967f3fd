# shellcheck shell=bash
# What a switch does about apps whose addresses change. An open socket cannot get another address: after systemd has read
# the new unit, the next generation would be given no socket.
#
# changed-listen.sh check|tell|stop system|user OLD NEW APP…
#   check  refuses, and says what to do
#   tell   only says it
#   stop   closes the port; the switch opens it anew, with the new address
# OLD and NEW are directories of units.
set -euo pipefail
verb=$1 manager=$2 old=$3 new=$4
shift 4
# shellcheck source=nix/switch-tools.sh
. "${BASH_SOURCE[0]%/*}/switch-tools.sh"
need grep sed sleep systemctl
[[ -d $new ]] || cannot "$new is no directory"

# What an app listens on and whom it lets in, as its socket units in a directory say.
listens() {
  local directory=$1 app=$2 unit file
  for unit in "$directory/$app".socket "$directory/$app"-*.socket; do
    # No client ever sees the socket over which connections move, and a generation can do without it.
    [[ -e $unit && $unit != "$directory/$app-move.socket" ]] || continue
    is_of "$app" "$unit" || continue
    for file in "$unit" "$unit".d/*.conf; do
      [[ -e $file ]] || continue
      sed -nE "/^BindIPv6Only=both$/d; s/^((Listen[A-Za-z]+|BindIPv6Only|SocketMode|SocketUser|SocketGroup)=.*)/${unit##*/} \1/p" "$file" || return
    done
  done
}

refused=0
for app; do
  # Not within the condition: there, a failure would go unnoticed.
  before=$(listens "$old" "$app")
  after=$(listens "$new" "$app")
  # A new app, a removed one, and one that is stopped are no problem.
  if [[ -z $before || -z $after || $before == "$after" ]] || ! is_active "$app.socket"; then
    continue
  fi
  if [[ $verb == stop ]]; then
    echo "portkeep: closing the port of $app, because its addresses change"
    # The sockets refuse to be stopped by name; they follow their target, after the generations.
    control stop "$app.target" "$app.service" "$app@*.service"
    for _ in {1..100}; do
      is_active "$app.socket" || continue 2
      sleep 0.1
    done
    echo "portkeep: $app.socket is still open after 10 s; see journalctl -u $app.socket" >&2
    refused=1
    continue
  fi
  {
    echo "portkeep: the addresses of $app change, and its port is open:"
    echo "$before" | sed 's/^/  now   /'
    echo "$after" | sed 's/^/  then  /'
    echo "An open socket cannot get another address. Either close it yourself and switch again:"
    echo "  $systemctl stop $app.target"
    echo "or let the switch do it: services.portkeep.apps.$app.restartSocket = true;"
    echo "Clients are refused until the switch has opened the port again."
  } >&2
  refused=1
done
verdict "$verb" "$refused"
