# The port is open after the boot, and the first connection starts the app.
{ self, pkgs, ... }:
(import ./machine.nix { inherit self pkgs; }).test {
  name = "activation";
  script = ''
    machine.require_unit_state("hello.socket", "active")
    machine.require_unit_state("hello.service", "inactive")
    assert "generation 1" in machine.succeed(page)
    machine.require_unit_state("hello.service", "active")
  '';
}
