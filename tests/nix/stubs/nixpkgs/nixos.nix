# NixOS as far as portkeep's module touches it: options of NixOS's own types, and the directory of units that its rules
# make of `systemd.packages` and `systemd.units`.
{ lib, pkgs }:
modules:
let
  inherit (lib) mkOption types;

  unitName = types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](service|socket|device|mount|automount|swap|target|path|timer|scope|slice)";
  unit.options = {
    enable = mkOption {
      type = types.bool;
      default = true;
    };
    overrideStrategy = mkOption {
      type = types.enum [
        "asDropinIfExists"
        "asDropin"
      ];
      default = "asDropinIfExists";
    };
    text = mkOption {
      type = types.nullOr types.str;
      default = null;
    };
    wantedBy = mkOption {
      type = types.listOf unitName;
      default = [ ];
    };
  };

  options.options = {
    systemd = {
      package = mkOption {
        type = types.package;
        default = pkgs.systemd;
      };
      packages = mkOption {
        type = types.listOf types.package;
        default = [ ];
      };
      units = mkOption {
        type = types.attrsOf (types.submodule unit);
        default = { };
      };
      services = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
      sockets = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
    };
    environment.systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    system = {
      preSwitchChecks = mkOption {
        type = types.attrsOf types.str;
        default = { };
      };
      activationScripts = mkOption {
        type = types.attrsOf types.str;
        default = { };
      };
      switch.enable = mkOption {
        type = types.bool;
        default = true;
      };
    };
    specialisation = mkOption {
      type = types.attrsOf (
        types.submodule { options.configuration = mkOption { type = types.deferredModule; }; }
      );
      default = { };
    };
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
  };

  inherit
    (lib.evalModules {
      class = "nixos";
      modules = [
        options
        { _module.args.pkgs = pkgs; }
      ]
      ++ modules;
    })
    config
    ;
  failed = map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);

  # As nixos/lib/systemd-lib.nix: packages first, drop-ins beside them, then what is wanted.
  unitDirectory = pkgs.runCommand "system-units" { } (
    ''
      mkdir -p $out
      for package in ${toString config.systemd.packages}; do
        [ ! -e $package/lib/systemd/user ] || { echo "$package has units for all users"; exit 1; }
        for unit in $package/lib/systemd/system/*; do
          if [ -d $unit ]; then
            mkdir -p $out/$(basename $unit)
            ln -s $unit/* $out/$(basename $unit)/
          else
            ln -s $unit $out/
          fi
        done
      done
    ''
    + lib.concatStrings (
      lib.mapAttrsToList (name: one: ''
        text=${pkgs.writeText name (lib.optionalString (one.text != null) one.text)}
        if [ -e $out/${name} ]; then
          mkdir -p $out/${name}.d
          ln -s $text $out/${name}.d/overrides.conf
        elif [ ${one.overrideStrategy} = asDropin ]; then
          echo "no unit ${name} to drop something into"
          exit 1
        else
          ln -s $text $out/${name}
        fi
        for target in ${toString one.wantedBy}; do
          mkdir -p $out/$target.wants
          ln -s ../${name} $out/$target.wants/
        done
      '') config.systemd.units
    )
    # As serviceToUnit, for what the module uses of it.
    + lib.concatStrings (
      lib.mapAttrsToList (name: one: ''
        ln -s ${
          pkgs.writeText "${name}.service" ''
            [Unit]
            Description=${one.description}
            After=${toString (one.after or [ ])}

            [Service]
            Type=${one.serviceConfig.Type}
            ${lib.concatMapStringsSep "\n" (command: "ExecStart=${command}") (
              lib.toList one.serviceConfig.ExecStart
            )}
          ''
        } $out/${name}.service
        for target in ${toString one.wantedBy}; do
          mkdir -p $out/$target.wants
          ln -s ../${name}.service $out/$target.wants/
        done
      '') (lib.filterAttrs (_: one: one ? serviceConfig) config.systemd.services)
    )
  );
in
if failed != [ ] then
  throw "Failed assertions:\n${lib.concatMapStrings (message: "- ${message}\n") failed}"
else
  {
    inherit config unitDirectory;
    specialisations = lib.mapAttrs (
      _: one:
      import ./nixos.nix { inherit lib pkgs; } (
        modules
        ++ [
          one.configuration
          { specialisation = lib.mkForce { }; }
        ]
      )
    ) config.specialisation;
  }
