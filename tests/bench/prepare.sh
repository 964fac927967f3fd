# What the benchmark needs: programs, peers, and a guest that has nginx, cargo and a compiler.
# shellcheck shell=bash

tools=$checkout/tests/.cache/tools
bench_guest_name=257-${PORTKEEP_BENCH_GUEST:-bench}

bench_prepare() {
  need_rust && need_guests && need_oha || exit 1
  local peer
  for peer in systemfd@0.4.6 cargo-devserver@0.2.2 watchexec-cli@2.8.0; do need_peer "$peer" || exit 1; done
  echo "building portkeep, the apps and the benchmark"
  cargo build --quiet --release --package portkeep-cli || exit 1
  cargo build --quiet --release --manifest-path tests/bench/Cargo.toml --target-dir "$target/bench" || exit 1
  place "$target/release/portkeep" "$tools"/bin/{systemfd,watchexec,cargo-devserver} \
    "$target"/bench/release/{bench,hello-portkeep,hello-axum,hello-graceful-restart,hello-ecdysis}
}

# The version is pinned: the table states it.
need_peer() {
  local name=${1%@*} version=${1#*@}
  grep --quiet --fixed-strings "\"$name $version " "$tools/.crates.toml" 2>/dev/null && return 0
  echo "installing $name $version (a few minutes, once)"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$tools/build \
    cargo install --quiet --locked --force --root "$tools" --version "=$version" "$name" || {
    cannot_run "$name cannot be installed"
    return 1
  }
}

# place PROGRAM… to where the guest finds it; atomically, because a guest may run the old one.
place() {
  local program
  mkdir -p "$programs"
  for program in "$@"; do
    install -m 755 --strip "$program" "$programs/.new" && mv "$programs/.new" "$programs/${program##*/}" || exit 1
  done
}

# A guest with what a developer has; its cargo finds on the host what the build of the peers has fetched.
bench_up() {
  local cargo_home=${CARGO_HOME:-$HOME/.cargo}
  PORTKEEP_GUEST_PACKAGES=nginx-light,gcc,libc6-dev \
    "$checkout/tests/guests/guest" up --fresh --bind "$(rustc --print sysroot):/opt/rust" --bind "$cargo_home:/opt/cargo" "$bench_guest_name" || exit 1
  bench_guest sh -c 'systemctl disable --now --quiet nginx; mkdir -p /srv/bench /srv/cargo/registry &&
    ln -s /opt/cargo/registry/index /opt/cargo/registry/cache /srv/cargo/registry'
  # A copy, because some crates have files that only their owner may read, and a developer is not root.
  awk '/^name = / { name = $3 } /^version = / && name { print name "-" $3; name = "" }' tests/bench/Cargo.lock | tr -d '"' |
    bench_guest sh -c 'cd /opt/cargo/registry/src && for source in *; do mkdir -p "/srv/cargo/registry/src/$source"; done
      while read -r crate; do
        for found in */"$crate"; do [ ! -d "$found" ] || cp -r "$found" "/srv/cargo/registry/src/$found"; done
      done; chmod -R a+rX /srv/cargo; chown dev: /srv/cargo /srv/cargo/registry'
}

bench_guest() {
  "$checkout/tests/guests/guest" run -e "PATH=/opt/portkeep/bin:/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$bench_guest_name" -- "$@"
}

bench_down() { "$checkout/tests/guests/guest" down "$bench_guest_name" 2>/dev/null; }
