# Units as the NixOS module gives them, with the real nixpkgs.lib: what NixOS would have in /etc/systemd/system.
{ lib }:
bare: _manager: spec:
let
  pkgs = import ./stubs/nixpkgs/pkgs.nix { inherit lib; };
  nixos = import ./stubs/nixpkgs/nixos.nix { inherit lib pkgs; } [
    ../../nix/nixos
    {
      services.portkeep.package = bare.portkeep;
      services.portkeep.apps.${spec.name} = removeAttrs spec [ "name" ];
    }
  ];
in
nixos.unitDirectory
