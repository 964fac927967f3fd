{
  description = "A web page, live while you edit it; on a server, with the same units";

  inputs.portkeep.url = "github:portkeep/portkeep";
  inputs.nixpkgs.follows = "portkeep/nixpkgs";
  inputs.devenv.follows = "portkeep/devenv";

  nixConfig = {
    extra-substituters = [ "https://devenv.cachix.org" ];
    extra-trusted-public-keys = [
      "devenv.cachix.org-1:w1cLUi8dv3hnoSPGAuibQv+f9TZLr6cv/Hm9XgU50cw="
    ];
  };

  outputs =
    inputs@{
      self,
      nixpkgs,
      devenv,
      portkeep,
    }:
    let
      each = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
      pkgsFor = system: nixpkgs.legacyPackages.${system};
    in
    {
      packages = each (system: {
        default = (pkgsFor system).callPackage ./package.nix { inherit portkeep; };
      });

      devShells = each (system: {
        default = devenv.lib.mkShell {
          inherit inputs;
          pkgs = pkgsFor system;
          modules = [
            portkeep.devenvModules.default
            ./devenv.nix
          ];
        };
      });

      # On a server: imports = [ hello.nixosModules.default ];
      nixosModules.default =
        { pkgs, ... }:
        {
          imports = [ portkeep.nixosModules.default ];
          services.portkeep.apps.hello = {
            package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
            listen = [ { stream = "0.0.0.0:8080"; } ];
          };
        };
    };
}
