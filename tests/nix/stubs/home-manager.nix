# home-manager as far as portkeep's module touches it: options of its types, its real library, and what it would link into
# the home directory and run.
{
  lib,
  homeManager,
  pkgs,
}:
modules:
let
  extended = import "${homeManager}/modules/lib/stdlib-extended.nix" lib;
  inherit (extended) mkOption types hm;

  options.options = {
    xdg.configHome = mkOption {
      type = types.str;
      default = "/home/dev/.config";
    };
    xdg.configFile = mkOption {
      type = types.attrsOf (types.submodule { options.source = mkOption { type = types.path; }; });
      default = { };
    };
    home = {
      homeDirectory = mkOption {
        type = types.str;
        default = "/home/dev";
      };
      packages = mkOption {
        type = types.listOf types.package;
        default = [ ];
      };
      activation = mkOption {
        type = hm.types.dagOf types.str;
        default = { };
      };
    };
    systemd.user.systemctlPath = mkOption {
      type = types.str;
      default = "/usr/bin/systemctl";
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
    (extended.evalModules {
      class = "homeManager";
      specialArgs.lib = extended;
      modules = [
        options
        {
          _module.args.pkgs = pkgs;
          # home-manager's own steps, which ours are to stand before and after.
          home.activation.writeBoundary = hm.dag.entryAnywhere "";
          home.activation.reloadSystemd = hm.dag.entryAfter [ "writeBoundary" ] "";
        }
      ]
      ++ modules;
    })
    config
    ;
  failed = map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);
  files = config.xdg.configFile;
in
if failed != [ ] then
  throw "Failed assertions:\n${lib.concatMapStrings (message: "- ${message}\n") failed}"
else
  {
    inherit config;
    # The generation's home-files, and the script that activates it.
    generation = pkgs.runCommand "home-manager-generation" { } ''
      mkdir -p $out
      ${lib.concatMapStrings (name: ''
        mkdir -p "$out/home-files/.config/$(dirname ${name})"
        ln -s ${files.${name}.source} $out/home-files/.config/${name}
      '') (lib.attrNames files)}
      cat >$out/activate <<'SCRIPT'
      set -eu -o pipefail
      errorEcho() { echo "$@" >&2; }
      ${lib.concatMapStrings (step: ''
        : step ${step.name}
        ${step.data}
      '') (hm.dag.topoSort config.home.activation).result}
      SCRIPT
    '';
  }
