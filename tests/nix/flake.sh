#!/usr/bin/env bash
# The flake, with the real devenv, and a stand-in for nixpkgs over its real library.
. /checkout/tests/nix/common.sh
assemble

nix flake check --no-build --no-write-lock-file "${overrides[@]}" "path:$work/portkeep"

shown=$(nix flake show --json --all-systems --no-write-lock-file "${overrides[@]}" "path:$work/portkeep")
for output in packages nixosModules homeModules devenvModules overlays devShells templates checks formatter; do
  [[ $shown == *"\"$output\""* ]] || fail "$output is not shown: $shown"
done
