# Functions for flakes of users.
{ lib }:
let
  # A plain attribute set is checked like a module: an error names the field with a wrong name or type.
  evaluate =
    settings:
    (lib.evalModules {
      modules = [
        ./app.nix
        { _module.args.name = settings.name or (throw "portkeep: an app needs a `name`"); }
        {
          _file = "the settings of app ${settings.name}";
          config = settings;
        }
      ];
    }).config;
in
rec {
  /*
    The units of an app, as a package with lib/systemd/system and lib/systemd/user: for development and for production.

    Example: mkUnits { inherit pkgs; app = { name = "hello"; package = hello; listen = [ { stream = "127.0.0.1:8080"; } ]; }; }
  */
  mkUnits =
    {
      pkgs,
      # The fields of portkeep.json, and `package`.
      app,
      # "system" or "user"; null renders both.
      manager ? null,
      portkeep ? pkgs.callPackage ./package.nix { },
    }:
    import ./units.nix
      {
        inherit (pkgs) runCommand writeText;
        inherit portkeep;
      }
      {
        inherit ((evaluate app)) spec;
        inherit manager;
      };

  /*
    One description of an app, and what is made of it: its units, and modules for NixOS and home-manager. A flake that
    writes the description once cannot have two that differ.
  */
  mkApp =
    app:
    let
      inherit (evaluate app) name;
    in
    {
      units = args: mkUnits (args // { inherit app; });
      nixosModule = {
        imports = [ ./nixos ];
        services.portkeep.apps.${name} = app;
      };
      homeModule = {
        imports = [ ./home-manager ];
        services.portkeep.apps.${name} = app;
      };
    };
}
