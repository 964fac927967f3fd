# NixOS hosts with an app, deployed by colmena: `colmena apply --on app1`, then `colmena apply --parallel 1`.
#
# The switch fails (exit status 4) when the new version does not get READY, or when what is installed does not serve at its
# end: colmena shows the host as failed. It rolls nothing back: the release before serves on where the new one did not get
# READY, and `colmena apply` of the commit before brings back the others.
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    colmena.url = "github:zhaofengli/colmena";
    colmena.inputs.nixpkgs.follows = "nixpkgs";
    portkeep.url = "github:portkeep/portkeep";
    shop.url = "github:example/shop";
  };

  outputs =
    {
      nixpkgs,
      colmena,
      portkeep,
      shop,
      ...
    }:
    let
      system = "x86_64-linux";
      app = targetHost: {
        deployment = {
          inherit targetHost;
          tags = [ "app" ];
        };
      };
    in
    {
      colmenaHive = colmena.lib.makeHive {
        meta.nixpkgs = nixpkgs.legacyPackages.${system};

        defaults =
          { modulesPath, ... }:
          {
            imports = [
              "${modulesPath}/profiles/minimal.nix"
              portkeep.nixosModules.default
            ];
            services.portkeep.apps.shop = {
              package = shop.packages.${system}.default;
              listen = [ { stream = "0.0.0.0:8080"; } ];
              # Looked at at the end of a switch from the first one on.
              start = "at-boot";
            };
            services.openssh.enable = true;
            system.stateVersion = "25.11";
          };

        app1 = app "app1.example.org";
        app2 = app "app2.example.org";
        app3 = app "app3.example.org";
      };
    };
}
