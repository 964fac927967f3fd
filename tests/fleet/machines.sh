# Life of a fleet: guests that boot, trust the edge, and get the app.
# shellcheck shell=bash
# shellcheck disable=SC2154

guest() { "$checkout/tests/guests/guest" "$@"; }

fleet_run() {
  local host=${1:-}
  host_exists "$host"
  shift
  guest run "${guest_of[$host]}" "$@"
}

fleet_up() {
  local host pids=() pid
  network_up
  # One after another: the first boot of a version makes its file system.
  for host in "${hosts[@]}"; do
    PORTKEEP_GUEST_PACKAGES=$(packages_of_host "$host") guest build "${guest_of[$host]%%-*}" >/dev/null || return
  done
  for host in "${hosts[@]}"; do
    PORTKEEP_GUEST_PACKAGES=$(packages_of_host "$host") guest up --fresh \
      --network "/run/netns/$(namespace_of "$host")" "${guest_of[$host]}" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || die 'a host does not boot'; done
  edge_is_trusted
  edge_has_inventory
}

fleet_down() {
  local host
  for host in "${hosts[@]}"; do guest down "${guest_of[$host]}"; done
  network_down
}

# What a person has on the machine that they deploy from: a key that the hosts know, and the hosts' keys.
edge_is_trusted() {
  local host key
  fleet_run edge -- sh -c 'mkdir -p ~/.ssh && chmod 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
  key=$(fleet_run edge -- cat /root/.ssh/id_ed25519.pub)
  for host in "${apps[@]}"; do
    fleet_run "$host" -- sh -c 'mkdir -p ~/.ssh && chmod 700 ~/.ssh && cat >~/.ssh/authorized_keys' <<<"$key"
    echo "${address_of[$host]} $(fleet_run "$host" -- cat /etc/ssh/ssh_host_ed25519_key.pub)"
  done | fleet_run edge -- sh -c 'cat >~/.ssh/known_hosts'
}

edge_has_inventory() {
  local host
  {
    echo '[shop]'
    for host in "${apps[@]}"; do echo "$host ansible_host=${address_of[$host]}"; done
  } | fleet_run edge -- sh -c 'mkdir -p /root/fleet && cat >/root/fleet/hosts'
  fleet_run edge -- sh -c 'cat >/root/fleet/vars.yml' <"$here/vars.yml"
  balanced_by haproxy
}

# balanced_by haproxy|caddy|envoy: who answers at port 80 of the edge, one of them at a time.
balanced_by() {
  local config
  case $1 in
    haproxy) config=/etc/haproxy/haproxy.cfg ;;
    caddy) config=/etc/caddy/Caddyfile ;;
    envoy) config=/etc/envoy.yaml ;;
    *) die "'$1' is no balancer: write haproxy, caddy or envoy" ;;
  esac
  # The packages start both.
  fleet_run edge -- sh -c 'systemctl disable --quiet --now haproxy.service caddy.service 2>/dev/null
    systemctl stop envoy.service 2>/dev/null; systemctl reset-failed; true'
  fleet_run edge -- cp "/checkout/tests/fleet/${config##*/}" "$config"
  if [[ $1 = envoy ]]; then
    fleet_run edge -- systemd-run --quiet --unit envoy /opt/portkeep/bin/envoy --config-path "$config" --concurrency 2 --log-level warning
  else
    fleet_run edge -- systemctl enable --quiet --now "$1.service"
  fi
}
