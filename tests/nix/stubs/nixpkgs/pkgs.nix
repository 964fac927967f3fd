# A package set over the real nixpkgs.lib. Its derivations build with the machine's own shell, so they need
# `--option sandbox false`.
{
  lib,
  system ? builtins.currentSystem,
}:
let
  platform = lib.systems.elaborate system;

  derive =
    name: attributes: script:
    let
      made =
        derivation (
          removeAttrs attributes [
            "passthru"
            "meta"
            "nativeBuildInputs"
            "preferLocalBuild"
          ]
          // {
            name = lib.strings.sanitizeDerivationName name;
            inherit system;
            builder = "/bin/bash";
            args = [
              "-euc"
              "export PATH=/usr/bin:/bin\n${script}"
            ];
          }
        )
        // {
          pname = name;
          meta = {
            mainProgram = name;
            broken = false;
          }
          // (attributes.meta or { });
          override = _: made;
          overrideAttrs =
            changes:
            let
              given = if lib.isFunction changes then changes made else changes;
            in
            made // { meta = made.meta // (given.meta or { }); };
        }
        // (attributes.passthru or { });
    in
    made;

  file =
    mode: destination: name: text:
    derive name
      {
        inherit text;
        passAsFile = [ "text" ];
      }
      ''
        mkdir -p "$(dirname $out${destination})"
        cp "$textPath" $out${destination}
        chmod ${mode} $out${destination}
      '';
  withShebang = text: "#!/bin/bash\n${text}";

  # Programs of the guest; one that is not there is /bin/false.
  tools =
    name: programs:
    derive name { } ''
      mkdir -p $out/bin
      for program in ${toString programs}; do
        ln -s "$(command -v $program || echo /bin/false)" $out/bin/$program
      done
    '';
  tool = name: tools name [ name ];

  joined =
    { name, paths, ... }:
    derive name { } ''
      mkdir -p $out
      for path in ${toString paths}; do cp -rs --no-preserve=mode $path/. $out/; done
    '';

  generator = _: {
    type = lib.types.attrsOf lib.types.anything;
    generate = name: value: file "644" "" name (builtins.toJSON value);
  };

  names = [
    "bashInteractive"
    "libiconv"
    "apple-sdk"
    "mold-wrapped"
    "cargo"
    "cargo-nextest"
    "clang"
    "clippy"
    "curl"
    "git"
    "gnugrep"
    "gnused"
    "hello"
    "jq"
    "mkcert"
    "mmdebstrap"
    "mold"
    "nixfmt"
    "nixfmt-tree"
    "oha"
    "pkg-config"
    "rust-analyzer"
    "rustc"
    "rustfmt"
    "socat"
  ];

  pkgs = lib.genAttrs names tool // {
    inherit lib system pkgs;
    config = { };
    callPackage = lib.callPackageWith pkgs;
    appendOverlays = lib.foldl' (set: overlay: set // overlay (set // overlay set set) set) pkgs;

    stdenv = tool "stdenv" // {
      inherit system;
      isLinux = platform.isLinux;
      isDarwin = platform.isDarwin;
      hostPlatform = platform;
      buildPlatform = platform;
      # `nix develop` sources it.
      outPath = derive "stdenv" { } "mkdir $out; : >$out/setup";
    };
    mkShell = lib.makeOverridable (
      _: arguments:
      derivation (
        lib.filterAttrs (_: value: value != null) (
          removeAttrs arguments [
            "hardeningDisable"
            "inputsFrom"
            "buildInputs"
          ]
        )
        // {
          name = arguments.name or "shell";
          inherit system;
          builder = "/bin/bash";
          args = [
            "-c"
            "exit 1"
          ];
          outputs = [ "out" ];
          stdenv = pkgs.stdenv.outPath;
        }
      )
    ) { };

    runCommand = derive;
    writeText = file "644" "";
    writeScript = name: text: file "755" "" name text;
    writeShellScript = name: text: file "755" "" name (withShebang text);
    writeScriptBin = name: file "755" "/bin/${name}" name;
    writeShellScriptBin = name: text: file "755" "/bin/${name}" name (withShebang text);
    symlinkJoin = joined;
    buildEnv = joined;
    formats = lib.genAttrs [ "ini" "javaProperties" "json" "toml" "yaml" ] (_: generator);

    bash = tool "bash";
    coreutils = tools "coreutils" [
      "cksum"
      "cut"
      "id"
      "ln"
      "mkdir"
      "readlink"
      "realpath"
      "timeout"
    ];
    systemd = tools "systemd" [
      "systemctl"
      "systemd-analyze"
      "journalctl"
    ];
    libressl.nc = tool "nc";
    llvmPackages.bintools = tool "ld.lld";
    glibcLocalesUtf8 = null;
    installShellFiles = null;

    rustPlatform.rustLibSrc = "/rust-src";
    # What tests/run built, under the name of the package.
    rustPlatform.buildRustPackage =
      arguments:
      let
        given = if lib.isFunction arguments then arguments given else arguments;
      in
      derive given.pname { inherit (given) meta; } ''
        : ${given.src}
        mkdir -p $out/bin
        cp /opt/portkeep/bin/portkeep $out/bin/
      '';

    # Evaluates the machine of the test, all its specialisations, and what they assert.
    testers.runNixOSTest =
      test:
      let
        machine = import ./nixos.nix { inherit lib pkgs; } [ test.nodes.machine ];
      in
      derive test.name { } ''
        cat >$out <<'SCRIPT'
        ${test.testScript}
        SCRIPT
        : ${machine.unitDirectory} ${
          toString (map (one: one.unitDirectory) (lib.attrValues machine.specialisations))
        }
      '';

    # devenv imports its own nixpkgs, and takes its task runner from there.
    fetchFromGitHub =
      _:
      file "644" "/default.nix" "devenv-nixpkgs" ''
        { system, ... }: {
          rustc = null;
          callPackage = _: _: {
            crates.devenv-tasks = derivation {
              name = "devenv-tasks";
              inherit system;
              builder = "/bin/bash";
              args = [ "-c" "/bin/mkdir -p $out/bin; /bin/cp ${pkgs.writeScript "devenv-tasks" (builtins.readFile ./tools/devenv-tasks)} $out/bin/devenv-tasks" ];
            };
          };
        }
      '';
    process-compose = file "755" "/bin/process-compose" "process-compose" (
      builtins.readFile ./tools/process-compose
    );
  };
in
pkgs
