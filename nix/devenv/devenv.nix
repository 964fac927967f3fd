# devenv: `devenv up` runs `portkeep dev`. For flakes (`devenvModules.default`) and for devenv.yaml
# (`imports: [ portkeep/nix/devenv ]`) alike.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.portkeep;

  app =
    { name, ... }:
    {
      options = {
        project = mkOption {
          type = types.str;
          default = ".";
          description = "The project, relative to the shell's root: a directory with a Cargo.toml or a portkeep.json.";
        };
        bin = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "The binary to run, if the project has several.";
        };
        listen = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "127.0.0.1:3000" ];
          description = "Addresses to listen on, as for `portkeep dev --listen`. Default: the project's.";
        };
        backend = mkOption {
          type = types.enum [
            "auto"
            "systemd"
            "local"
          ];
          default = "auto";
          description = "Who runs the app: units of your user manager, or child processes.";
        };
        extraArgs = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "--release" ];
          description = "Further arguments of `portkeep dev`.";
        };
        args = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Arguments of the app.";
        };
      };
    };

  command =
    app:
    lib.escapeShellArgs (
      [
        "portkeep"
        "dev"
        "--project"
        app.project
        "--backend"
        app.backend
      ]
      ++ lib.optionals (app.bin != null) [
        "--bin"
        app.bin
      ]
      ++ lib.concatMap (address: [
        "--listen"
        address
      ]) app.listen
      ++ app.extraArgs
      ++ lib.optionals (app.args != [ ]) ([ "--" ] ++ app.args)
    );

  # `nix develop` evaluates without knowing where it is, and devenv then refuses. The kernel knows: this is the current
  # directory of whoever looks, so it belongs to this user and this project. `devenv up` evaluates anew and knows better.
  anywhere = if pkgs.stdenv.isLinux then "/proc/self/cwd" else "/tmp/devenv-pure";
  isPure = config.devenv.root == anywhere;

  # Devenv imports its task runner from a nixpkgs of its own, which `nix flake check` and `nix flake show` must not build.
  # A shell that was evaluated without its directory runs nothing by it: `devenv up` and its like enter the shell anew.
  noTasks = pkgs.writeShellScriptBin "devenv-tasks" ''
    case " $* " in
      *" devenv:enterShell "*) exit 0 ;;
    esac
    echo "This shell does not know its directory, so it runs no processes or tasks. Enter it with" >&2
    echo "  nix develop --impure        (direnv: use flake . --impure)" >&2
    exit 1
  '';
  # Unless the user has tasks for entering the shell; devenv itself removes files that it once wrote.
  atEntry = lib.filterAttrs (
    name: task:
    builtins.elem "devenv:enterShell" task.before
    && !(config.files == { } && lib.hasPrefix "devenv:files" name)
  ) config.tasks;
in
{
  _file = ./devenv.nix;

  options.portkeep = {
    enable = lib.mkEnableOption "`portkeep dev` for the project in the shell's root, as the process `app` of `devenv up`";
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../package.nix { };
      defaultText = lib.literalMD "portkeep, built with your nixpkgs";
      description = "The portkeep package to use.";
    };
    apps = mkOption {
      type = types.attrsOf (types.submodule app);
      default = { };
      example = {
        web.project = "services/web";
        api = {
          project = "services/api";
          listen = [ "127.0.0.1:9000" ];
        };
      };
      description = "The apps that `devenv up` serves, each a process with this name.";
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.enable { portkeep.apps.app = lib.mkDefault { }; })
    (lib.mkIf (cfg.apps != { }) {
      packages = [ cfg.package ];
      processes = lib.mapAttrs (_: app: {
        exec = "exec ${command app}";
        # It supervises the app itself; only a bad spec or a person ends it.
        restart.on = lib.mkDefault "never";
      }) cfg.apps;
    })
    (lib.mkIf (config.devenv.flakesIntegration or false) {
      # Wins over devenv's own default, and not over the user's setting.
      devenv.root = lib.mkOverride 900 (
        let
          directory = builtins.getEnv "PWD";
        in
        if directory != "" then directory else anywhere
      );
      task.package = lib.mkIf (isPure && atEntry == { }) (lib.mkOverride 900 noTasks);
      # First: what stays in the environment must not depend on the directory.
      enterShell = lib.mkIf isPure (
        lib.mkOrder 100 ''
          export DEVENV_ROOT=$PWD DEVENV_DOTFILE=$PWD/.devenv DEVENV_STATE=$PWD/.devenv/state
        ''
      );
    })
  ];
}
