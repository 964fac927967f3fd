# A switch to another release is a handover: no request fails, and the socket is the same.
{ self, pkgs, ... }:
let
  machine = import ./machine.nix { inherit self pkgs; };
in
machine.test {
  name = "switch-under-load";
  specialisations.b = machine.instead { services.portkeep.apps.hello.environment.RELEASE = "b"; };
  script = ''
    machine.succeed(page)
    socket = "systemctl show --value --property ActiveEnterTimestampMonotonic hello.socket"
    opened = machine.succeed(socket)

    machine.succeed(
        "systemd-run --unit load --property Type=exec sh -c '${pkgs.oha}/bin/oha --no-tui --output-format json "
        "--wait-ongoing-requests-after-deadline -z 20s -c 50 -q 2000 http://127.0.0.1:8080/ >/tmp/report.json'"
    )
    status, output = switch("b")
    assert status == 0, output
    assert "reloading the following units: hello.service" in output, output
    assert "hello.socket" not in output, output
    assert "generation 2" in machine.succeed(page)
    machine.wait_until_fails("systemctl is-active load.service", timeout=60)
    machine.succeed(
        "jq --exit-status '.errorDistribution == {} and (.statusCodeDistribution | keys == [\"200\"])' /tmp/report.json"
    )
    assert machine.succeed(socket) == opened
  '';
}
