# A guest in which somebody develops: rust, and cargo with the crates that the host has.
# shellcheck shell=bash

# develop_guest NAME LOCK… boots it clean, with the packages that PORTKEEP_GUEST_PACKAGES names, or those for browser tests. Its
# cargo has the crates of these lock files.
develop_guest() {
  local name=$1
  PORTKEEP_GUEST_PACKAGES=${PORTKEEP_GUEST_PACKAGES:-chromium,nodejs,tmux,gcc,libc6-dev} \
    "$checkout/tests/guests/guest" up --fresh --bind "$(rustc --print sysroot):/opt/rust" \
    --bind "${CARGO_HOME:-$HOME/.cargo}:/opt/cargo" "$name" || return 1
  # A copy of the index: a cargo of the host may be about to write its files anew.
  in_guest_as_root "$name" sh -c 'mkdir -p /srv/cargo/registry /srv/pages && cp -r /opt/cargo/registry/index /srv/cargo/registry &&
    ln -s /opt/cargo/registry/cache /srv/cargo/registry' || return 1
  # A copy, because some crates have files that only their owner may read, and a developer is not root.
  awk '/^name = / { name = $3 } /^version = / && name { print name "-" $3; name = "" }' "${@:2}" | tr -d '"' | sort -u |
    in_guest_as_root "$name" sh -c 'cd /opt/cargo/registry/src && for source in *; do mkdir -p -- "/srv/cargo/registry/src/$source"; done
      while read -r crate; do
        for found in */"$crate"; do [ ! -d "$found" ] || cp -r -- "$found" "/srv/cargo/registry/src/$found"; done
      done
      chmod -R a+rX /srv/cargo; chown -R dev: /srv/cargo /srv/pages'
}

in_guest_as_root() {
  "$checkout/tests/guests/guest" run "$1" -- "${@:2}"
}

# Those of the pages app; listenfd is what one of the apps uses that the tests write.
pages_locks=(tests/browser/app/Cargo.lock Cargo.lock)

# Those of the smallest app (tests/bench/app), of which guests build copies.
app_locks=(tests/bench/app/Cargo.lock Cargo.lock)

# The crates that guests find are those that the host has.
fetch_app() { cargo fetch --quiet --manifest-path tests/bench/app/Cargo.toml; }

# in_guest_as_developer NAME COMMAND… with the user manager of `dev`, and one directory for the builds of all sessions.
in_guest_as_developer() {
  "$checkout/tests/guests/guest" run --user -C /checkout/tests/browser \
    -e "PATH=/opt/portkeep/bin:/target/testing:/opt/rust/bin:/usr/bin:/bin" -e CARGO_HOME=/srv/cargo -e CARGO_NET_OFFLINE=true \
    -e PAGES_TARGET=/srv/pages -e PORTKEEP_BACKEND=systemd "$1" -- "${@:2}"
}
