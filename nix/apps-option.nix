# `services.portkeep`, the same in NixOS and in home-manager.
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;

  # agenix and sops-nix replace files without a switch of the app.
  secrets =
    { config, ... }:
    {
      watchSecrets = lib.mkDefault (config.environmentFiles != [ ] || config.credentials != { });
    };

  app.options = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the app is installed.";
    };
    start = mkOption {
      type = types.enum [
        "on-connection"
        "at-boot"
      ];
      default = "on-connection";
      description = ''
        When the app starts. Its port is open from the beginning in both cases, and connections wait until it is ready.
      '';
    };
    restartSocket = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether a switch may close the port when `listen` has changed, and open it anew. Without it such a switch is
        refused, and nothing changes: an open socket cannot get another address, and a new version would be given no
        socket at all.
      '';
    };
  };
in
{
  options.services.portkeep = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalMD "portkeep, built with your nixpkgs";
      description = "The portkeep package that renders the units and hands over.";
    };
    apps = mkOption {
      type = types.attrsOf (
        types.submodule [
          ./app.nix
          app
          secrets
        ]
      );
      default = { };
      example = lib.literalExpression ''
        {
          hello = {
            package = pkgs.hello-web;
            listen = [ { stream = "0.0.0.0:8080"; } ];
            resources.memoryMax = "512M";
          };
        }
      '';
      description = ''
        Web services whose ports are held by systemd. A changed app is handed over: the new version starts beside the old
        one and takes over when it is ready. Each app takes the fields of portkeep.json.
      '';
    };
  };
}
