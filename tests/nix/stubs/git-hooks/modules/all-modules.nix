# The options of git-hooks.nix that devenv sets or reads.
{ lib, ... }:
let
  any = lib.types.anything;
  option =
    default:
    lib.mkOption {
      type = any;
      inherit default;
    };
in
{
  freeformType = lib.types.attrsOf any;
  options = {
    enable = option false;
    hooks = option { };
    package = lib.mkOption { type = any; };
    tools = lib.mkOption { type = any; };
    rootSrc = lib.mkOption { type = any; };
    installationScript = option "";
    enabledPackages = option [ ];
    configPath = option ".pre-commit-config.yaml";
    install = option { enable = true; };
    installStages = option [ ];
    gitPackage = option null;
    configFile = option null;
  };
}
