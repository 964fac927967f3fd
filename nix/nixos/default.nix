# NixOS: apps whose ports are held by the system's manager.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.portkeep;
  inherit
    (import ../installed.nix {
      inherit lib pkgs cfg;
      manager = "system";
    })
    apps
    fileNames
    unitsOf
    mayRestart
    ;

  # `[Install]` of packaged units is not read, and a drop-in without text is how a packaged unit is wanted. Not by
  # `systemd.services`: that would add a PATH and a locale to the unit.
  wanted = target: {
    overrideStrategy = "asDropin";
    wantedBy = [ target ];
  };
  wants =
    app:
    lib.genAttrs (fileNames app.spec).sockets (_: wanted (fileNames app.spec).wantedBy.system)
    // lib.optionalAttrs (app.start == "at-boot") {
      "${app.name}.service" = wanted "multi-user.target";
    };

  changedListen =
    verb: old: new: which:
    lib.optionalString (which != [ ]) ''
      PATH=${
        lib.makeBinPath [
          pkgs.coreutils
          pkgs.gnugrep
          pkgs.gnused
          config.systemd.package
        ]
      } ${pkgs.bash}/bin/bash ${../changed-listen.sh} ${verb} system ${old} ${new} ${
        toString (map (app: app.name) which)
      }
    '';
  current = "/run/current-system/etc/systemd/system";
in
{
  _class = "nixos";
  imports = [ ../apps-option.nix ];

  config = lib.mkIf (apps != [ ]) {
    systemd.packages = map unitsOf apps;
    systemd.units = lib.mkMerge (
      map wants apps ++ [ { "portkeep.slice".text = builtins.readFile ../../systemd/portkeep.slice; } ]
    );
    environment.systemPackages = [ cfg.package ];

    # Before anything is changed. A reboot opens all ports anew, so "boot" is no problem.
    system.preSwitchChecks.portkeep = ''
      case ''${2-} in
        switch | test)
          ${
            let
              check = changedListen "check" current "\"$1/etc/systemd/system\"" mayRestart.wrong;
            in
            if check == "" then ":" else check
          } ;;
      esac
    '';
    # While systemd still knows the old units.
    system.activationScripts.portkeep = ''
      if [ "''${NIXOS_ACTION-}" = switch ] || [ "''${NIXOS_ACTION-}" = test ]; then
        ${
          let
            stop = changedListen "stop" current "\"$systemConfig/etc/systemd/system\"" mayRestart.right;
          in
          if stop == "" then ":" else stop
        }
      fi
    '';

    warnings = import ../secrets.nix { inherit lib; } apps;
    assertions =
      import ../conflicts.nix { inherit lib; } apps
      ++ import ../rules.nix { inherit lib; } "system" apps
      ++ map (app: {
        assertion = !(config.systemd.services ? ${app.name} || config.systemd.sockets ? ${app.name});
        message = "portkeep: systemd.services.${app.name} or systemd.sockets.${app.name} is defined, too, and would change the units of the app ${app.name}; rename the app. For a setting of your own, use systemd.units.\"${app.name}@.service\" with overrideStrategy = \"asDropin\".";
      }) apps;
  };
}
