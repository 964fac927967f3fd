# The app as a package: what the server runs.
{
  lib,
  rustPlatform,
  portkeep,
}:
rustPlatform.buildRustPackage {
  pname = "hello";
  inherit ((lib.importTOML ./Cargo.toml).package) version;
  src = lib.fileset.toSource {
    root = ./.;
    fileset = lib.fileset.unions [
      ./Cargo.toml
      ./Cargo.lock
      ./src
    ];
  };
  cargoLock.lockFile = ./Cargo.lock;
  # Where Cargo.toml looks for the server library; the dev shell has the same link.
  postPatch = "ln -s ${portkeep} .portkeep";
  meta.mainProgram = "hello";
}
