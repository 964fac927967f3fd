# Unit directories as a switch would install them, for guest.rs: one for each version and manager.
{
  # How units get from an app's settings to a directory: through the real NixOS module where its sources are there.
  system ? import ./install-plain.nix,
}:
let
  bare = import ./bare.nix { };
  plain = import ./install-plain.nix;

  settings = version: {
    name = "nixed";
    exec = [
      "${
        bare.probe {
          inherit version;
          startDelayMs = 200;
        }
      }/bin/probe"
      "--release"
      version
    ];
    listen = [ { stream = "127.0.0.1:8080"; } ];
    environment.RELEASE = version;
    keepGenerations = 2;
  };
  developed = settings "v1" // {
    name = "watched";
    exec = [ "/home/dev/apps/watched/probe" ];
    watch = "/home/dev/apps/watched/probe";
    listen = [ { stream = "127.0.0.1:8080"; } ];
  };
  slow = settings "slow" // {
    exec = [
      "${
        bare.probe {
          version = "slow";
          startDelayMs = 4000;
        }
      }/bin/probe"
    ];
  };
  without-move = settings "v3" // {
    moveConnections = false;
  };
  broken = settings "broken" // {
    exec = [
      "${
        bare.probe {
          version = "broken";
          mode = "exit";
        }
      }/bin/probe"
    ];
  };
  moved = settings "v2" // {
    listen = [ { stream = "127.0.0.1:9090"; } ];
  };
  all = builtins.listToAttrs (
    map
      (version: {
        name = version;
        value = system bare "system" (settings version);
      })
      [
        "v1"
        "v2"
        "v3"
        "v4"
        "v5"
      ]
  );
in
bare.derive "releases" { } (
  "mkdir $out\n"
  + builtins.concatStringsSep "\n" (
    map (name: "ln -s ${all.${name}} $out/${name}") (builtins.attrNames all)
    ++ [
      "ln -s ${system bare "system" broken} $out/broken"
      "ln -s ${system bare "system" moved} $out/moved"
      "ln -s ${system bare "system" slow} $out/slow"
      "ln -s ${system bare "system" without-move} $out/without-move"
      "ln -s ${plain bare "user" developed} $out/watched"
    ]
  )
)
