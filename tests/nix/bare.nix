# The package set of a machine without nixpkgs: what nix/units.nix needs, built by the machine's own shell, and portkeep
# as tests/run built it.
{
  system ? builtins.currentSystem,
}:
rec {
  derive =
    name: attributes: script:
    let
      given = removeAttrs attributes [ "passthru" ];
    in
    derivation (
      given
      // {
        inherit name system;
        builder = "/bin/bash";
        args = [
          "-euc"
          "export PATH=/usr/bin:/bin\n${script}"
        ];
      }
    )
    // (attributes.passthru or { });

  runCommand = derive;
  writeText =
    name: text:
    derive name {
      inherit text;
      passAsFile = [ "text" ];
    } ''cp "$textPath" $out'';

  programs = builtins.path {
    name = "programs";
    path = /opt/portkeep/bin;
    filter =
      path: _:
      builtins.elem (baseNameOf path) [
        "portkeep"
        "probe"
        "stamp"
      ];
  };
  portkeep = derive "portkeep" { } "mkdir -p $out/bin; cp ${programs}/portkeep $out/bin/";

  # A version of the fixture, as a package.
  probe =
    behaviour:
    derive "probe-${behaviour.version}" { behaviour = builtins.toJSON behaviour; } ''
      mkdir -p $out/bin
      ${programs}/stamp ${programs}/probe $out/bin/probe "$behaviour"
    '';
}
