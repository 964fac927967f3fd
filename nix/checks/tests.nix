# All tests that need only cargo. The build is not optimised: it is thrown away.
{ portkeep, ... }:
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
    "--package=portkeep"
    "--package=portkeep-tests"
  ];
  installPhase = "touch $out";
  dontFixup = true;
}
