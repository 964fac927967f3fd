# Stands in for nixpkgs: its real library (flake.sh puts it here), and packages that build with what the guest has.
{
  outputs =
    { self }:
    let
      lib = import ./lib;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ] (
        system: import ./pkgs.nix { inherit lib system; }
      );
    };
}
