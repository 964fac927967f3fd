# The apps of `services.portkeep` and their units, for the manager of a module.
{
  lib,
  pkgs,
  cfg,
  # "system" or "user". Only its units: NixOS would hand user units to the managers of all users.
  manager,
}:
rec {
  apps = lib.filter (app: app.enable) (lib.attrValues cfg.apps);
  fileNames = import ./unit-names.nix;

  unitsOf =
    app:
    import ./units.nix
      {
        inherit (pkgs) runCommand writeText;
        portkeep = cfg.package;
      }
      {
        inherit (app) spec;
        inherit manager;
        expected = (fileNames app.spec).${manager};
      };

  # Scripts that run before and during a switch.
  scripts = builtins.path {
    name = "portkeep-switch";
    path = ./.;
    filter = path: _type: lib.hasSuffix ".sh" path;
  };

  # For the apps whose addresses a switch may change, and for those where that is refused.
  mayRestart = builtins.partition (app: app.restartSocket) apps;
}
