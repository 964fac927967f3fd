# An app on hosts with a nix store, deployed by deploy-rs: `deploy .#app1`, or `deploy .` for all.
#
# The activation fails unless the new version gets READY and serves for five seconds. deploy-rs then activates the profile
# before, which hands over to the release before (--auto-rollback, its default).
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    deploy-rs.url = "github:serokell/deploy-rs";
    deploy-rs.inputs.nixpkgs.follows = "nixpkgs";
    portkeep.url = "github:portkeep/portkeep";
    # The app: a flake with a package.
    shop.url = "github:example/shop";
  };

  outputs =
    {
      self,
      nixpkgs,
      deploy-rs,
      portkeep,
      shop,
    }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      profile = import ./profile.nix {
        inherit (pkgs) writeTextDir;
        activate = deploy-rs.lib.${system}.activate.custom;
        portkeep = portkeep.packages.${system}.default;
        spec = {
          name = "shop";
          exec = [ "${shop.packages.${system}.default}/bin/shop" ];
          listen = [ { stream = "0.0.0.0:8080"; } ];
        };
        hold = "5s";
      };
      node = hostname: {
        inherit hostname;
        profiles.shop = {
          user = "root";
          sshUser = "root";
          path = profile;
        };
      };
    in
    {
      deploy.nodes = {
        app1 = node "app1.example.org";
        app2 = node "app2.example.org";
        app3 = node "app3.example.org";
      };
      # One host after another: a failure leaves later hosts alone, and --rollback-succeeded (the default) takes back the
      # earlier ones.
      checks.${system} = deploy-rs.lib.${system}.deployChecks self.deploy;
    };
}
