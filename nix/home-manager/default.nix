# home-manager module: apps whose ports the user's manager holds.
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
      manager = "user";
    })
    apps
    fileNames
    unitsOf
    mayRestart
    scripts
    ;

  # File by file, because the switch compares what is in the configuration directory, not what packages bring.
  filesOf =
    app:
    let
      units = "${unitsOf app}/lib/systemd/user";
      link = directory: name: {
        name = "systemd/user/${directory}${name}";
        value.source = "${units}/${name}";
      };
      names = fileNames app.spec;
    in
    lib.listToAttrs (
      map (link "") names.user
      ++ map (link "${names.wantedBy.user}.wants/") names.sockets
      ++ lib.optional (app.start == "at-boot") (link "default.target.wants/" "${app.name}.service")
      ++ lib.optional (app.spec ? watch) (link "${app.name}.target.wants/" "${app.name}.path")
    );

  unitDirectory =
    generation:
    "${generation}/home-files${lib.removePrefix config.home.homeDirectory config.xdg.configHome}/systemd/user";

  # A script of a switch, for some of the apps. Without a manager nothing runs, and there is nothing to do.
  script =
    needed: file: words: which:
    lib.optionalString (which != [ ]) ''
      if [[ -v ${needed} && -S "''${XDG_RUNTIME_DIR:-/run/user/$UID}/systemd/private" ]]; then
        env XDG_RUNTIME_DIR="''${XDG_RUNTIME_DIR:-/run/user/$UID}" \
          PATH="${dirOf config.systemd.user.systemctlPath}:$PATH" \
          ${pkgs.bash}/bin/bash ${scripts}/${file} ${words} ${toString (map (app: app.name) which)}
      fi
    '';
  changedListen =
    verb:
    script "oldGenPath" "changed-listen.sh" ''${verb} user "${unitDirectory "$oldGenPath"}" "${unitDirectory "$newGenPath"}"'';
  foreignUnits = script "newGenPath" "foreign-units.sh" ''check user "${config.xdg.configHome}/systemd/user" "${unitDirectory "$newGenPath"}"'';

  # `portkeep dev` places its units where they would be hidden by these, and this switch would stop and start them.
  developed = lib.concatMapStrings (app: ''
    if [[ -e "''${XDG_RUNTIME_DIR:-/run/user/$UID}/systemd/user/${app.name}.service" ]]; then
      errorEcho "portkeep: \`portkeep dev\` runs ${app.name} at this moment, under the name of the app that is to be installed."
      errorEcho "End it (Ctrl-C, or systemctl --user stop ${app.name}.target if it was detached), and switch again. Nothing was changed."
      exit 1
    fi
  '') apps;
in
{
  _class = "homeManager";
  imports = [ ../apps-option.nix ];

  config = lib.mkIf (apps != [ ]) {
    xdg.configFile = lib.mkMerge (map filesOf apps);
    home.packages = [ cfg.package ];

    home.activation = {
      portkeepCheck = lib.hm.dag.entryBefore [ "writeBoundary" ] (
        developed + foreignUnits apps + changedListen "check" mayRestart.wrong
      );
      portkeepSockets = lib.hm.dag.entryBetween [ "reloadSystemd" ] [ "writeBoundary" ] (
        lib.optionalString (mayRestart.right != [ ]) ''
          if [[ ! -v DRY_RUN ]]; then
            ${changedListen "stop" mayRestart.right}
          fi
        ''
      );
    };

    warnings = import ../secrets.nix { inherit lib; } apps;
    assertions =
      import ../conflicts.nix { inherit lib; } apps
      ++ import ../rules.nix { inherit lib; } "user" apps
      ++ [
        (lib.hm.assertions.assertPlatform "services.portkeep" pkgs lib.platforms.linux)
      ];
  };
}
