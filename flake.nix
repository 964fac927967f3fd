{
  description = "Ports held by systemd: while you develop, and in production, with the same unit files";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";
  inputs.devenv = {
    url = "github:cachix/devenv/v2.2.2";
    inputs.nixpkgs.follows = "nixpkgs";
    # Only the devenv command is built from these; the shells need none of them.
    inputs.cachix.follows = "";
    inputs.crate2nix.follows = "";
    inputs.flake-compat.follows = "";
    inputs.flake-parts.follows = "";
    inputs.ghostty.follows = "";
    inputs.nix.follows = "";
    inputs.nixd.follows = "";
    inputs.rust-overlay.follows = "";
  };

  # devenv's task runner comes from there; without it, the first `nix develop` compiles it.
  nixConfig = {
    extra-substituters = [ "https://devenv.cachix.org" ];
    extra-trusted-public-keys = [
      "devenv.cachix.org-1:w1cLUi8dv3hnoSPGAuibQv+f9TZLr6cv/Hm9XgU50cw="
    ];
  };

  outputs =
    {
      self,
      nixpkgs,
      devenv,
    }:
    let
      inherit (nixpkgs) lib;
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachOf = systems: make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      # macOS has no systemd, but `portkeep dev` works there.
      each = eachOf (linux ++ [ "aarch64-darwin" ]);
    in
    {
      lib = import ./nix/lib.nix { inherit lib; };

      overlays.default = import ./nix/overlay.nix;

      packages = each (pkgs: rec {
        portkeep = pkgs.callPackage ./nix/package.nix { };
        default = portkeep;
      });

      nixosModules.default = ./nix/nixos;
      homeModules.default = ./nix/home-manager;
      devenvModules.default = ./nix/devenv/devenv.nix;

      devShells = each (pkgs: {
        default = devenv.lib.mkShell {
          inherit pkgs;
          inputs = { inherit self nixpkgs devenv; };
          modules = [
            self.devenvModules.default
            ./nix/shell.nix
          ];
        };
      });

      templates.default = {
        path = ./nix/template;
        description = "A web page in Rust: live while you edit it, and a NixOS service, with the same units";
      };

      checks = eachOf linux (pkgs: import ./nix/checks { inherit self pkgs; });

      formatter = each (pkgs: pkgs.nixfmt-tree);
    };
}
