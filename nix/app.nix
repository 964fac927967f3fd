# One app as a module: every field of the spec, and the package it comes from.
{
  lib,
  name,
  config,
  ...
}:
let
  spec = import ./options.nix { inherit lib; };
in
{
  options = lib.recursiveUpdate spec.options {
    package = lib.mkOption {
      type = lib.types.nullOr lib.types.package;
      default = null;
      description = "The app's package. Its main program runs, unless `exec` names another.";
    };

    environment.description = ''
      Environment variables of the app. They are not for secrets: they end up in the Nix store, where everybody can read
      them. Use `credentials` or `environmentFiles` for those.
    '';
    credentials.description = ''
      Secrets: identifier to file. The app finds them in `$CREDENTIALS_DIRECTORY`. Write the path as text
      (`"/run/secrets/token"`): a path without quotes would be copied to the Nix store.
    '';

    spec = lib.mkOption {
      type = lib.types.raw;
      internal = true;
      readOnly = true;
      description = "The contents of portkeep.json.";
    };
  };

  config = {
    name = lib.mkDefault name;
    exec = lib.mkIf (config.package != null) (lib.mkDefault [ (lib.getExe config.package) ]);
    # null is the default of every field that may be null.
    spec = lib.filterAttrsRecursive (_: value: value != null) (
      lib.genAttrs spec.fields (field: config.${field})
      // {
        listen = map (lib.filterAttrs (_: value: value != null)) config.listen;
      }
    );
  };
}
