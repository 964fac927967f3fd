# The programs that suites run.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-$checkout/target}
[[ $target = /* ]] || target=$checkout/$target
programs=$checkout/tests/.cache/guests/bin

# Optimized, because latencies are measured; without link-time optimization, because time counts.
build_programs() {
  local profile=(--profile tests
    --config 'profile.tests.inherits="release"' --config 'profile.tests.lto=false'
    --config 'profile.tests.codegen-units=16' --config 'profile.tests.strip="debuginfo"')
  cargo build --quiet "${profile[@]}" --package portkeep-cli --package portkeep-tests --bins || return 1
  local tests name
  tests=$(cargo test --quiet "${profile[@]}" --package portkeep-tests --test scenarios --test contract-systemd --test local --test nix-guest \
    --no-run --message-format=json-render-diagnostics | test_executables) || return 1
  mkdir -p "$programs"
  install -m 755 "$target"/tests/{portkeep,probe,stamp} "$programs/" || return 1
  for name in $tests; do
    # cargo adds a hash to the name.
    install -m 755 "$name" "$programs/$(basename "${name%-*}" | tr _ -)" || return 1
  done
}

# Reads cargo's messages, prints the paths of test executables.
test_executables() {
  sed -nE '/"kind":\["test"\]/s/.*"executable":"([^"]+)".*/\1/p'
}
