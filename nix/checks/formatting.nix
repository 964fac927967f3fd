# Nix files are formatted as `nix fmt` does.
{ pkgs, ... }:
pkgs.runCommand "portkeep-check-formatting" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
  find ${../..} -name '*.nix' -print0 | xargs -0 nixfmt --check
  touch $out
''
