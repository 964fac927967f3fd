# The programs that suites run.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-$checkout/target}
[[ $target = /* ]] || target=$checkout/$target
programs=$checkout/tests/.cache/guests/bin

# place PROGRAM… to where guests find it, without what only a debugger reads; atomically, because one may run there.
place() {
  local program
  mkdir -p "$programs"
  for program in "$@"; do
    install -m 755 --strip "$program" "$programs/.new" && mv "$programs/.new" "$programs/${program##*/}" || return 1
  done
}

# The same build as the unit tests', which is there already where these ran; without its debug information, which would
# be copied and hashed at each reload.
build_programs() {
  cargo build --quiet --workspace --bins || return 1
  local tests name placed
  tests=$(cargo test --quiet --workspace --test scenarios --test contract-systemd --test launchers --test examples --test local --test nix-guest \
    --no-run --message-format=json-render-diagnostics | test_executables) || return 1
  mkdir -p "$programs"
  for name in "$target"/debug/{portkeep,probe,stamp,hello} $tests; do
    # cargo adds a hash to the names of tests.
    placed=${name##*/}
    [[ $name = */deps/* ]] && placed=${placed%-*}
    objcopy --strip-debug "$name" "$programs/.new" && mv "$programs/.new" "$programs/${placed//_/-}" || return 1
  done
}

# Reads cargo's messages, prints the paths of test executables.
test_executables() {
  sed -nE '/"kind":\["test"\]/s/.*"executable":"([^"]+)".*/\1/p'
}
