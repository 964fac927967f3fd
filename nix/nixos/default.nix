# NixOS module: apps whose ports the system's manager holds.
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
    scripts
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

  # A script of a switch, for some of the apps; empty if there are none.
  script =
    file: words: which:
    if which == [ ] then
      ":"
    else
      ''
        PATH=${
          lib.makeBinPath [
            pkgs.coreutils
            pkgs.gnugrep
            pkgs.gnused
            config.systemd.package
          ]
        } ${pkgs.bash}/bin/bash ${scripts}/${file} ${words} ${toString (map (app: app.name) which)}'';
  current = "/run/current-system/etc/systemd/system";
  place = "/etc/systemd/system";
in
{
  _class = "nixos";
  imports = [ ../apps-option.nix ];

  config = lib.mkIf (apps != [ ]) {
    systemd.packages = map unitsOf apps;
    systemd.units = lib.mkMerge (
      map wants apps
      ++ map (unit: { ${unit}.text = builtins.readFile (../../systemd + "/${unit}"); }) [
        "portkeep.slice"
        "portkeep-shutdown.service"
      ]
    );
    environment.systemPackages = [ cfg.package ];

    # Before anything is changed. Only the last status counts: where NixOS runs this, a command that fails ends nothing.
    system.preSwitchChecks.portkeep = ''
      portkeep_verb=
      case ''${2-} in
        switch | test | check) portkeep_verb=check ;;
        # A reboot starts everything anew, and a machine that is being installed runs nothing yet.
        dry-activate | boot) portkeep_verb=tell ;;
      esac
      portkeep_refused=0
      if [ -n "$portkeep_verb" ]; then
        ${script "foreign-units.sh" "\"$portkeep_verb\" system ${place} \"$1${place}\"" apps} || portkeep_refused=1
        ${
          script "changed-listen.sh" "\"$portkeep_verb\" system ${current} \"$1${place}\"" mayRestart.wrong
        } || portkeep_refused=1
      fi
      [ "$portkeep_verb" = tell ] || [ "$portkeep_refused" = 0 ]
    '';
    # While systemd still knows the old units.
    system.activationScripts.portkeep = ''
      if [ "''${NIXOS_ACTION-}" = switch ] || [ "''${NIXOS_ACTION-}" = test ]; then
        ${script "changed-listen.sh" "stop system ${current} \"$systemConfig${place}\"" mayRestart.right}
      fi
    '';
    # At the end of each switch, which starts what multi-user.target wants: a reload that failed is not asked for again by
    # the next one, and a start that ends in a holding page is a success for systemd.
    systemd.services = {
      # Explanations of portkeep's entries for `journalctl -x`. systemd reads two directories for it: its own, and this one.
      portkeep-catalog = {
        description = "what the journal's entries of portkeep mean";
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = [
            "${pkgs.coreutils}/bin/mkdir -p /usr/local/lib/systemd/catalog"
            "${pkgs.coreutils}/bin/ln -sfn ${../../systemd/portkeep.catalog} /usr/local/lib/systemd/catalog/portkeep.catalog"
            "${config.systemd.package}/bin/journalctl --update-catalog"
          ];
        };
      };
    }
    // lib.listToAttrs (
      map (app: {
        name = "portkeep-serves-${app.name}";
        value = {
          description = "whether what is installed of ${app.name} serves";
          wantedBy = [ "multi-user.target" ];
          after = [ "${app.name}.service" ];
          serviceConfig = {
            Type = "oneshot";
            ExecStart = "${cfg.package}/bin/portkeep handle serves ${app.name} --spec ${unitsOf app}/share/portkeep/${app.name}.json";
          };
        };
      }) apps
    );

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
