# Units as nix/lib.nix gives them, with the links that `systemctl enable` would make.
bare: manager: spec:
let
  names = import ../../nix/unit-names.nix spec;
  units = import ../../nix/units.nix { inherit (bare) runCommand writeText portkeep; } {
    inherit spec manager;
    expected = names.${manager};
  };
in
bare.derive "${manager}-units" { } ''
  mkdir $out
  for unit in ${units}/lib/systemd/${manager}/*; do ln -s $unit $out/; done
  wants=$out/${names.wantedBy.${manager}}.wants
  mkdir $wants
  for socket in ${toString names.sockets}; do ln -s ../$socket $wants/; done
  if [ -e $out/${spec.name}.path ]; then
    mkdir $out/${spec.name}.target.wants
    ln -s ../${spec.name}.path $out/${spec.name}.target.wants/
  fi
''
