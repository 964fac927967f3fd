# Adds `portkeep` to a package set.
final: _prev: {
  portkeep = final.callPackage ./package.nix { };
}
