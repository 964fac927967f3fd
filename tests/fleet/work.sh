# What a fleet is used for: playbooks, builds, load, and a look at it.
# shellcheck shell=bash
# shellcheck disable=SC2154

fleet_play() {
  local playbook=${1:-}
  [[ -e $checkout/deploy/ansible/playbooks/$playbook.yml ]] || die "there is no playbook '$playbook' in deploy/ansible/playbooks"
  shift
  # In a unit, so that all of it can be killed at once, as when the machine that deploys goes away.
  # With an end of its own: a playbook that hangs is a failure with what it printed.
  fleet_run edge -- systemd-run --quiet --property RuntimeMaxSec=600 --collect --wait --pipe --unit playbook --working-directory /root/fleet \
    --setenv HOME=/root --setenv LANG=C.UTF-8 --setenv ANSIBLE_CONFIG=/checkout/deploy/ansible/ansible.cfg \
    ansible-playbook --inventory /root/fleet/hosts --extra-vars @/root/fleet/vars.yml \
    "/checkout/deploy/ansible/playbooks/$playbook.yml" "$@"
}

fleet_build() {
  local name=$1 json=$2
  fleet_run edge -- mkdir -p "/root/fleet/builds/$name"
  fleet_run edge -- cp /checkout/tests/fleet/portkeep.json "/root/fleet/builds/$name/"
  fleet_run edge -- stamp /opt/portkeep/bin/probe "/root/fleet/builds/$name/shop" "$json"
}

# Clients are in the bridge's namespace: the load reaches the hosts of the fleet, and nothing else can be reached.
fleet_load() {
  local seconds=$1 rate=${2:-2000}
  in_network timeout 1500 "$checkout/tests/.cache/guests/bin/portkeep" prove "http://${address_of[edge]}/" \
    --rate "$rate" --times 1 --every "${seconds}s" --reload "${FLEET_WHILE:-true}" --version-header x-version --json
}

fleet_table() {
  local host
  printf '%-6s %-9s %s\n' host systemd serves
  for host in "${apps[@]}"; do
    printf '%-6s %-9s %s\n' "$host" "${guest_of[$host]%%-*}" "$(version_at "$host")"
  done
}

# What a host answers by itself, past the edge.
version_at() {
  in_network curl --silent --max-time 5 --output /dev/null --write-out '%header{x-version}' \
    "http://${address_of[$1]}:$app_port/" || echo 'nothing'
}

fleet_balance() { balanced_by "${1:-}"; }

fleet_health() {
  host_exists "${1:-}"
  in_network curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}\n' "http://${address_of[$1]}:8081/readyz" || true
}

# The status that the balancer answers, or the version in it.
fleet_edge() {
  local what='%{http_code}\n'
  [[ ${1:-} != version ]] || what='%header{x-version}\n'
  in_network curl --silent --max-time 5 --output /dev/null --write-out "$what" "http://${address_of[edge]}/" || true
}

# Not by `ip netns exec`, which hides the control groups.
in_network() { nsenter --net="/run/netns/$switch" "$@"; }
