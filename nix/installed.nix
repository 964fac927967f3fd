# The apps of `services.portkeep` and their units, for the manager that a module speaks to.
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

  # What runs before and in a switch.
  scripts = builtins.path {
    name = "portkeep-switch";
    path = ./.;
    filter = path: _type: lib.hasSuffix ".sh" path;
  };

  # Of the apps whose addresses a switch may change, and of those where it is refused.
  mayRestart = builtins.partition (app: app.restartSocket) apps;
}
