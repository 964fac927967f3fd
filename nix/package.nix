# The `portkeep` command.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
}:
rustPlatform.buildRustPackage (finalAttrs: {
  pname = "portkeep";
  inherit ((lib.importTOML ../Cargo.toml).workspace.package) version;

  # Only what cargo reads: an edit of a README or a Nix file causes no build.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../rustfmt.toml
      ../crates
      ../examples
      ../systemd
      ./schema.json
      # Not all of tests, which contains the guests.
      ../tests/Cargo.toml
      ../tests/bench/throughput
      ../tests/contract
      ../tests/examples
      ../tests/fixture
      ../tests/launchers
      ../tests/local
      ../tests/metrics
      ../tests/nix
      ../tests/scenarios
      ../tests/src
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  cargoBuildFlags = [ "--package=portkeep-cli" ];
  # Tests that need only cargo and no booted system; checks/tests.nix runs more.
  cargoTestFlags = [
    "--package=portkeep-spec"
    "--package=portkeep-engine"
    "--lib"
  ];

  nativeBuildInputs = [ installShellFiles ];
  postInstall = ''
    install -D -m 644 systemd/portkeep.catalog $out/lib/systemd/catalog/portkeep.catalog
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      $out/bin/portkeep completions $shell >portkeep.$shell
      installShellCompletion --cmd portkeep --$shell portkeep.$shell
    done
    $out/bin/portkeep man man
    installManPage man/man1/* man/man5/*
  '';

  meta = {
    description = "Ports held by systemd: while you develop, and in production";
    homepage = (lib.importTOML ../Cargo.toml).workspace.package.repository;
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "portkeep";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
})
