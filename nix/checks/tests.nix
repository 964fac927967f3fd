# All tests that need only cargo. The build is not optimised: it is thrown away.
{ pkgs, portkeep, ... }:
portkeep.overrideAttrs {
  pname = "portkeep-tests";
  buildType = "debug";
  cargoBuildType = "debug";
  cargoCheckType = "debug";
  dontCargoBuild = true;
  buildPhase = "true";
  cargoTestFlags = [
    "--package=portkeep-spec"
    "--package=portkeep-engine"
    "--package=portkeep-dev"
    "--package=portkeep"
    "--package=portkeep-tests"
  ];
  # All but `dev`: that builds a project elsewhere, where cargo would look for crates in the network. The documentation is
  # not here to be checked.
  postCheck = ''
    cargo test --offline --target ${pkgs.stdenv.hostPlatform.rust.rustcTargetSpec} --package portkeep-cli \
      --bins --test architecture --test bad_input --test help \
      -- --skip docs:: --skip reference::
  '';
  installPhase = "touch $out";
  dontFixup = true;
}
