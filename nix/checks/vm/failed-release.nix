# A release that does not start fails the switch, and the old one serves on.
{ self, pkgs, ... }:
let
  machine = import ./machine.nix { inherit self pkgs; };
in
machine.test {
  name = "failed-release";
  specialisations.broken = machine.instead {
    services.portkeep.apps.hello.exec = [ "${pkgs.coreutils}/bin/false" ];
  };
  script = ''
    before = machine.succeed(page)
    status, output = switch("broken")
    assert status == 4, output
    assert machine.succeed(page) == before
    machine.require_unit_state("hello.service", "active")
  '';
}
