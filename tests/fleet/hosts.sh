# The hosts of a fleet: which guest each is, its address, and what it has besides what every guest has.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

apps=(app1 app2 app3)
hosts=("${apps[@]}" edge)

# The block that RFC 2544 sets apart for benchmarks. Nothing routes out of the namespaces.
network_prefix=198.18.0
declare -A address_of=([app1]=$network_prefix.11 [app2]=$network_prefix.12 [app3]=$network_prefix.13 [edge]=$network_prefix.10)
declare -A guest_of=([app1]=252-$FLEET [app2]=257-$FLEET [app3]=262-$FLEET [edge]=257-$FLEET-edge)
app_port=8080

host_exists() { [[ -n ${1:-} && -n ${guest_of[$1]:-} ]] || die "'${1:-}' is no host: write one of ${hosts[*]}"; }

# As the version of Debian has them: HAProxy 3.0, Caddy 2.6, ansible-core 2.19.
packages_of_host() {
  case $1 in
    edge) echo haproxy,caddy,ansible-core,openssh-client ;;
    *) echo openssh-server,python3 ;;
  esac
}
