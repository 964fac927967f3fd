# Generations of home-manager with its real library: `home.sh` builds and activates them.
{ lib, homeManager }:
let
  bare = import ./bare.nix { };
  pkgs = import ./stubs/nixpkgs/pkgs.nix { inherit lib; };
  home =
    apps:
    import ./stubs/home-manager.nix { inherit lib homeManager pkgs; } [
      ../../nix/home-manager
      {
        services.portkeep.package = bare.portkeep;
        services.portkeep.apps = apps;
      }
    ];
  page = version: {
    exec = [ "${bare.probe { inherit version; }}/bin/probe" ];
    listen = [ { stream = "127.0.0.1:8080"; } ];
    watch = "/home/dev/nothing";
  };
  moved = page "b" // {
    listen = [ { stream = "127.0.0.1:9090"; } ];
  };
in
{
  a = (home { page = page "a"; }).generation;
  b = (home { page = page "b"; }).generation;
  moved = (home { page = moved; }).generation;
  allowed =
    (home {
      page = moved // {
        restartSocket = true;
      };
    }).generation;
  removed = (home { other = moved; }).generation;
  clash =
    (home {
      page = page "a";
      other = page "b";
    }).generation.outPath;
}
