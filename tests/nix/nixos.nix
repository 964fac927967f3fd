# The NixOS module with the real nixpkgs.lib: `nixos.sh` asks for one attribute after the other.
{ lib }:
let
  pkgs = import ./stubs/nixpkgs/pkgs.nix { inherit lib; };
  nixos =
    apps:
    import ./stubs/nixpkgs/nixos.nix { inherit lib pkgs; } [
      ../../nix/nixos
      { services.portkeep.apps = apps; }
    ];
  web = {
    package = pkgs.hello;
    listen = [ { stream = "127.0.0.1:8080"; } ];
  };
  at = address: web // { listen = [ { stream = address; } ]; };
  two = one: other: (nixos { inherit one other; }).unitDirectory.outPath;
  every = nixos {
    web = web // {
      exec = [
        "/bin/web"
        "--flag"
      ];
      listen = [
        {
          name = "http";
          stream = "[::1]:8080";
          backlog = 16;
        }
        {
          name = "dns";
          datagram = "127.0.0.1:53";
          freeBind = false;
        }
        {
          name = "control";
          sequentialPacket = "/run/web.sock";
          protocol = "raw";
          mode = "0660";
          user = "web";
          group = "nginx";
        }
      ];
      label = "70e033f (\"blue\" 100%)";
      environment = {
        A = "b";
        SESSION_SECRET = "oops";
      };
      environmentFiles = [ "/etc/web.env" ];
      credentials.token = "/run/secrets/token";
      workingDirectory = "/srv/web";
      files = [
        "public"
        "templates/*.html"
      ];
      filesFrom = "/srv/web";
      filesMaxSize = "2G";
      filesMaxCount = 500;
      keepFiles = "12h";
      readiness = "started";
      watchSecrets = true;
      startTimeout = "1m 30s";
      release = [
        "/srv/web/bin/web"
        "migrate"
      ];
      releaseTimeout = "10m";
      drainTimeout = "5s";
      watchdog = "10s";
      restart = {
        delay = "1s";
        maxDelay = "20s";
        rollbackAfter = 5;
        within = "2m";
      };
      idleExit = "1h";
      drain = "lossless";
      linger = "2s";
      limits = {
        idle = "30s";
        age = "off";
        connections = 2000;
      };
      keepGenerations = 5;
      moveConnections = false;
      sandbox = "off";
      allow.user = "web";
      resources = {
        memoryMax = "512M";
        memoryHigh = 400000000;
        cpuQuota = "150%";
        tasksMax = 64;
      };
      watch = "/srv/web/bin";
      sources = [ "/srv/shared" ];
      ignore = [ "*.log" ];
      build = [ "make" ];
      profile = "dev";
      checks = [
        "make test"
        [
          "make"
          "lint"
        ]
      ];
      start = "at-boot";
    };
  };
  library = import ../../nix/lib.nix { inherit lib; };
  portkeep = pkgs.callPackage ../../nix/package.nix { };
in
{
  # For a dev shell and for a server, from one call, and from one description.
  library = library.mkUnits {
    inherit pkgs portkeep;
    app = web // {
      name = "web";
    };
  };
  description = (library.mkApp (web // { name = "web"; })).units { inherit pkgs portkeep; };
  described =
    (import ./stubs/nixpkgs/nixos.nix { inherit lib pkgs; } [
      (library.mkApp (web // { name = "web"; })).nixosModule
    ]).unitDirectory;
  minimal = (nixos { inherit web; }).unitDirectory;
  every = every.unitDirectory;
  everyWarnings = every.config.warnings;
  # All that the schema knows was set above.
  unset =
    lib.subtractLists (lib.attrNames every.config.services.portkeep.apps.web.spec)
      (import ../../nix/options.nix { inherit lib; }).fields;
  minimalSpec = (nixos { inherit web; }).config.services.portkeep.apps.web.spec;
  none =
    (nixos {
      web = web // {
        enable = false;
      };
    }).config.systemd.packages;
  checks = (nixos { inherit web; }).config.system.preSwitchChecks.portkeep;
  activation =
    (nixos {
      web = web // {
        restartSocket = true;
      };
    }).config.system.activationScripts.portkeep;

  # Good: an address each.
  good = map (pair: two (at (builtins.head pair)) (at (lib.last pair))) [
    [
      "127.0.0.1:80"
      "127.0.0.1:81"
    ]
    [
      "127.0.0.1:80"
      "127.0.0.2:80"
    ]
    [
      "0.0.0.0:80"
      "[::1]:80"
    ]
    [
      "/run/a"
      "/run/b"
    ]
  ];
  # Bad: each of these must say which apps and why.
  clashing =
    map (pair: (builtins.tryEval (two (at (builtins.head pair)) (at (lib.last pair)))).success)
      [
        [
          "127.0.0.1:80"
          "127.0.0.1:80"
        ]
        [
          "0.0.0.0:80"
          "127.0.0.1:80"
        ]
        [
          "[::]:80"
          "127.0.0.1:80"
        ]
        [
          "[::]:80"
          "[::1]:80"
        ]
        [
          "/run/a"
          "/run/a"
        ]
      ];
  clash = two (at "0.0.0.0:80") (at "127.0.0.1:80");
  sameUnit =
    (nixos {
      a = web // {
        listen = [
          {
            name = "http";
            stream = "127.0.0.1:1";
          }
          {
            name = "b";
            stream = "127.0.0.1:2";
          }
        ];
      };
      a-b = at "127.0.0.1:3";
    }).unitDirectory.outPath;
  takenName =
    (import ./stubs/nixpkgs/nixos.nix { inherit lib pkgs; } [
      ../../nix/nixos
      {
        services.portkeep.apps.nginx = web;
        systemd.services.nginx = { };
      }
    ]).unitDirectory.outPath;
  wrongField =
    (nixos {
      web = web // {
        drainTimeot = "3s";
      };
    }).unitDirectory.outPath;
  wrongType =
    (nixos {
      web = web // {
        startTimeout = "soon";
      };
    }).unitDirectory.outPath;
  # With every lock open, which takes a sandbox.
  open =
    (nixos {
      web = web // {
        allow = {
          network = "loopback";
          home = "read-only";
          writablePaths = [ "/srv/web/data" ];
          capabilities = [ "CAP_NET_ADMIN" ];
          user = "web";
          jit = true;
        };
      };
    }).unitDirectory;
  wouldBeRoot =
    (nixos {
      web = web // {
        sandbox = "off";
      };
    }).unitDirectory.outPath;
  nothingLocked =
    (nixos {
      web = web // {
        sandbox = "off";
        allow = {
          user = "web";
          network = "any";
        };
      };
    }).unitDirectory.outPath;
  ourName = (nixos { portkeep = web; }).unitDirectory.outPath;
  wrongName = (nixos { Web = web; }).unitDirectory.outPath;
  noListen = (nixos { web = removeAttrs web [ "listen" ]; }).unitDirectory.outPath;
  noPackage = (nixos { web = removeAttrs web [ "package" ]; }).unitDirectory.outPath;
}
