# The options of the modules are those of the spec.
{ pkgs, portkeep, ... }:
pkgs.runCommand "portkeep-check-schema" { } ''
  if ! diff ${../schema.json} <(${portkeep}/bin/portkeep schema); then
    echo "the spec has changed: portkeep schema > nix/schema.json"
    exit 1
  fi
  touch $out
''
