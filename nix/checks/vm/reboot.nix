# After a reboot the port is open again, without a generation of the boot before.
{ self, pkgs, ... }:
(import ./machine.nix { inherit self pkgs; }).test {
  name = "reboot";
  script = ''
    machine.succeed(page)
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.require_unit_state("hello.socket", "active")
    machine.require_unit_state("hello.service", "inactive")
    machine.succeed(page)
  '';
}
