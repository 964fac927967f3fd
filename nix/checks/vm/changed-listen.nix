# Another address is refused unless it is allowed, and nothing changes by that; a removed app closes its port.
{ self, pkgs, ... }:
let
  machine = import ./machine.nix { inherit self pkgs; };
  moved.services.portkeep.apps.hello.listen = [ { stream = "127.0.0.1:9090"; } ];
in
machine.test {
  name = "changed-listen";
  specialisations = {
    moved = machine.instead moved;
    allowed = machine.instead (
      pkgs.lib.recursiveUpdate moved { services.portkeep.apps.hello.restartSocket = true; }
    );
    removed = machine.instead { services.portkeep.apps.hello.enable = false; };
  };
  script = ''
    before = machine.succeed(page)
    status, output = switch("moved")
    assert status == 1 and "restartSocket = true" in output, output
    assert machine.succeed(page) == before

    status, output = switch("allowed")
    assert status == 0, output
    machine.succeed(page.replace("8080", "9090"))
    machine.fail(page)

    status, output = switch("removed")
    assert status == 0, output
    machine.fail(page.replace("8080", "9090"))
    machine.fail("systemctl list-units --all --no-legend 'hello*' | grep .")
  '';
}
