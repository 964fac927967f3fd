# Sourced by the scripts beside it, which run in the guest as root.
# shellcheck shell=bash
set -euo pipefail

here=/checkout/tests/nix
sources=/sources
# Where the flakes that nix is to see are put together.
work=/srv/nix

# No daemon, no sandbox, nothing from outside.
export NIX_CONFIG="extra-experimental-features = nix-command flakes
build-users-group =
sandbox = false
substituters =
connect-timeout = 1
download-attempts = 1
warn-dirty = false
show-trace = false"

# nix 2.26 kills a builder that ends at the wrong moment ("due to signal 9"). Only that is tried again.
retry() {
  local log status _
  log=$(mktemp)
  for _ in {1..20}; do
    status=0
    "$@" 2>"$log" || status=$?
    if [[ $status = 0 ]] || ! grep -q 'signal 9' "$log"; then break; fi
  done
  cat "$log" >&2
  rm -f "$log"
  return "$status"
}

build() { retry nix-build --keep-going "$@"; }

fail() { echo "$*" >&2; exit 1; }

# expect_mention TEXT COMMAND…: the command fails and says TEXT.
expect_mention() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then fail "succeeded, though it should say: $text"; fi
  [[ $output == *"$text"* ]] || fail "does not say '$text' but: $output"
}

# assemble: the flake as git would have it at $work/portkeep, and `overrides` that keep nix from fetching.
assemble() {
  rm -rf "$work"
  mkdir -p "$work"/{portkeep,inputs}
  (cd /checkout && cp -r --parents flake.{nix,lock} nix crates systemd examples Cargo.{toml,lock} clippy.toml rustfmt.toml "$work/portkeep")
  mkdir "$work/portkeep/tests"
  (cd /checkout/tests && cp -r --parents Cargo.toml bench/throughput contract examples fixture launchers local nix scenarios src "$work/portkeep/tests")
  cp -r "$here/stubs/nixpkgs" "$here/stubs/git-hooks" "$work/inputs/"
  cp -r "$sources/nixpkgs.lib/lib" "$work/inputs/nixpkgs/lib"
  cp -r "$sources/devenv" "$work/inputs/devenv"
  overrides=(
    --override-input nixpkgs "path:$work/inputs/nixpkgs"
    --override-input devenv "path:$work/inputs/devenv"
    --override-input devenv/nixpkgs "path:$work/inputs/nixpkgs"
    --override-input devenv/git-hooks "path:$work/inputs/git-hooks"
  )
}
