# Going back to the release before is a handover, too; and what is kept is rooted.
{ self, pkgs, ... }:
let
  machine = import ./machine.nix { inherit self pkgs; };
in
machine.test {
  name = "rollback";
  specialisations.b = machine.instead { services.portkeep.apps.hello.environment.RELEASE = "b"; };
  script = ''
    machine.succeed(page)
    status, output = switch("b")
    assert status == 0, output
    assert "generation 2" in machine.succeed(page)
    machine.succeed("nix-store --gc --print-roots | grep /var/lib/portkeep/hello/gcroots/")

    release = "tr '\\0' '\\n' </proc/$(systemctl show --value --property MainPID 'hello@3.service')/environ"
    machine.succeed("portkeep rollback hello")
    assert "generation 3" in machine.succeed(page)
    assert "RELEASE=a" in machine.succeed(release)

    # Then the configuration follows, which changes nothing any more.
    status, output = switch(None)
    assert status == 0, output
    assert "generation 3" in machine.succeed(page)
  '';
}
