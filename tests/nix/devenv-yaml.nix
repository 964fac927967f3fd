# A devenv.yaml that imports `portkeep/nix/devenv`, evaluated as the devenv command does it: by its own bootstrap, with
# the inputs that its lock file would give.
{ sources }:
let
  lib = import "${sources}/nixpkgs.lib/lib";
  # `import input { system; config; overlays; }`
  nixpkgs = {
    inherit lib;
    outPath = builtins.toFile "nixpkgs.nix" ''
      { system, ... }: import ${./stubs/nixpkgs/pkgs.nix} { inherit system; lib = import ${sources}/nixpkgs.lib/lib; }
    '';
  };
  bootstrap = import "${sources}/devenv/devenv-nix-backend/bootstrap/bootstrapLib.nix" {
    inputs = {
      inherit nixpkgs;
      self = ./.;
      devenv.modules = /. + "${sources}/devenv/src/modules";
      git-hooks = ./stubs/git-hooks;
      portkeep = ../..;
    };
  };
in
devenv_root:
(bootstrap.mkDevenvForSystem {
  inherit devenv_root;
  system = builtins.currentSystem;
  version = "2.2.2";
  devenv_dotfile = devenv_root + "/.devenv";
  devenv_dotfile_path = /. + devenv_root + "/.devenv";
  devenv_tmpdir = "/tmp";
  devenv_runtime = "/tmp/devenv-runtime";
  devenv_direnvrc_latest_version = 1;
  hostname = "machine";
  username = "dev";
  # What `--option` of the command says.
  cli_options = { };
  devenv_imports = [ "portkeep/nix/devenv" ];
}).config
