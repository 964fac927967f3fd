# Checks of `nix flake check`, one in each file; those in vm/ boot a machine.
{ self, pkgs }:
let
  inherit (pkgs) lib;
  portkeep = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
  call = file: pkgs.callPackage file { inherit self portkeep; };
  machines = lib.mapAttrs' (
    file: _: lib.nameValuePair "vm-${lib.removeSuffix ".nix" file}" (call (./vm + "/${file}"))
  ) (lib.filterAttrs (file: _: file != "machine.nix") (builtins.readDir ./vm));
in
{
  inherit portkeep;
  tests = call ./tests.nix;
  units = call ./units.nix;
  schema = call ./schema.nix;
  formatting = call ./formatting.nix;
}
// machines
