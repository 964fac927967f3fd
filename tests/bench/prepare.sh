# What the benchmark needs: programs, peers, and a guest that has nginx, cargo and a compiler.
# shellcheck shell=bash

tools=$checkout/tests/.cache/tools
bench_guest_name=257-${PORTKEEP_BENCH_GUEST:-bench}

bench_prepare() {
  need_rust && need_guests && need_oha || exit 1
  local peer
  for peer in systemfd@0.4.6 cargo-devserver@0.2.2 watchexec-cli@2.8.0 bacon@3.26.0; do need_peer "$peer" || exit 1; done
  # Hundreds of crates: only who asks for it has it.
  [[ -z ${PORTKEEP_BENCH_DX:-} ]] || need_peer dioxus-cli@0.7.10 || exit 1
  local dx=()
  if [[ -x $tools/bin/dx ]]; then dx=("$tools/bin/dx"); else rm -f "$programs/dx"; fi
  fetch_app || exit 1
  echo "building portkeep, the apps and the benchmark"
  cargo build --quiet --release --package portkeep-cli || exit 1
  cargo build --quiet --release --manifest-path tests/bench/Cargo.toml --target-dir "$target/bench" || exit 1
  # A project of its own: nothing else is to compile aws-lc and s2n-tls.
  cargo build --quiet --release --manifest-path tests/bench/tls/Cargo.toml --target-dir "$target/tls-bench" --bin hello-portkeep-s2n || exit 1
  place "$target/release/portkeep" "$tools"/bin/{systemfd,watchexec,cargo-devserver,bacon} "${dx[@]}" \
    "$target"/bench/release/{bench,hello-portkeep,hello-axum,hello-graceful-restart,hello-ecdysis} "$target/tls-bench/release/hello-portkeep-s2n" || exit 1
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

bench_up() {
  PORTKEEP_GUEST_PACKAGES=nginx-light,gcc,libc6-dev develop_guest "$bench_guest_name" "${app_locks[@]}" || exit 1
  bench_guest sh -c 'systemctl disable --now --quiet nginx; mkdir -p /srv/bench'
}

bench_guest() {
  "$checkout/tests/guests/guest" run -e "PATH=/opt/portkeep/bin:/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$bench_guest_name" -- "$@"
}

bench_down() { "$checkout/tests/guests/guest" down "$bench_guest_name" 2>/dev/null; }
