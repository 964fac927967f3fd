# The programs that suites run.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-$checkout/target}
[[ $target = /* ]] || target=$checkout/$target
programs=$checkout/tests/.cache/guests/bin
# What all suites build with: a profile of their own, and with what tests need, because cargo would compile a dependency once
# more where it has other features.
build_profile=testing
built=$target/$build_profile
all_targets=(--workspace --lib --bins --examples --test '*')
# Projects of their own, as users have them. What they depend on is much the same, so they share it.
projects=$target/tmp/dev-project

# place PROGRAM… to where guests find it, without what only a debugger reads; atomically, because one may run there.
place() {
  local program
  mkdir -p "$programs"
  for program in "$@"; do
    install -m 755 --strip "$program" "$programs/.new-$BASHPID" && mv "$programs/.new-$BASHPID" "$programs/${program##*/}" || return 1
  done
}

# The same build as the unit tests'; without its debug information, which would be copied and hashed at each reload. Once a
# run, whoever comes first.
build_programs() {
  mkdir -p "$programs"
  (
    flock 9
    [[ -z ${tally:-} || ! -e $tally/built ]] || exit 0
    local executables name placed
    executables=$(cargo build --quiet --profile "$build_profile" "${all_targets[@]}" --message-format=json-render-diagnostics |
      test_executables) || exit 1
    for name in "$built"/{portkeep,cargo-portkeep,probe,stamp,hello} $executables; do
      # cargo adds a hash to the names of tests.
      placed=${name##*/}
      [[ $name = */deps/* ]] && placed=${placed%-*}
      objcopy --strip-debug "$name" "$programs/.new-$BASHPID" && mv "$programs/.new-$BASHPID" "$programs/${placed//_/-}" || exit 1
    done
    [[ -z ${tally:-} ]] || touch "$tally/built"
  ) 9>"$programs/.lock"
}

# Reads cargo's messages, prints the paths of the executables of these tests.
test_executables() {
  sed -nE '/"kind":\["test"\]/s/.*"executable":"([^"]+\/(scenarios|contract_systemd|contract-systemd|launchers|examples|local|nix_guest|nix-guest)-[0-9a-f]+)".*/\1/p'
}
