# The network of a fleet: a bridge in a namespace, a namespace for each host, a cable between each and the bridge.
# shellcheck shell=bash
# shellcheck disable=SC2154

# Checkouts must not meet.
switch=fleet-$(printf %s "$checkout" | sha256sum | cut -c1-8)-$FLEET
namespace_of() { echo "$switch-$1"; }

fleet_network() {
  case ${1:-} in
    up) network_up ;;
    down) network_down ;;
    *) die "write 'network up' or 'network down'" ;;
  esac
}

network_up() {
  local host namespace
  network_down
  ip netns add "$switch"
  ip -n "$switch" link set lo up
  ip -n "$switch" link add name bridge type bridge
  ip -n "$switch" address add "$network_prefix.1/24" dev bridge
  ip -n "$switch" link set bridge up
  for host in "${hosts[@]}"; do
    namespace=$(namespace_of "$host")
    ip netns add "$namespace"
    ip -n "$switch" link add name "$host" type veth peer name eth0 netns "$namespace"
    ip -n "$switch" link set "$host" master bridge up
    ip -n "$namespace" link set lo up
    ip -n "$namespace" address add "${address_of[$host]}/24" dev eth0
    ip -n "$namespace" link set eth0 up
  done
}

network_down() {
  local name
  for name in "${hosts[@]/#/$switch-}" "$switch"; do
    [[ ! -e /run/netns/$name ]] || ip netns delete "$name"
  done
}

fleet_cut() { host_exists "${1:-}"; ip -n "$switch" link set "$1" down; }
fleet_mend() { host_exists "${1:-}"; ip -n "$switch" link set "$1" up; }
