# A machine that serves one app by the NixOS module, and a test of it.
{ self, pkgs }:
let
  inherit (pkgs) lib;

  # The smallest app on the server library, from this repository. It answers with its generation and its process.
  hello = self.packages.${pkgs.stdenv.hostPlatform.system}.default.overrideAttrs {
    pname = "portkeep-example-hello";
    cargoBuildFlags = [ "--package=hello" ];
    doCheck = false;
    postInstall = "";
    meta.mainProgram = "hello";
  };
in
rec {
  # Two releases with different environments are two releases.
  release = version: {
    services.portkeep.apps.hello = {
      package = hello;
      listen = [ { stream = "127.0.0.1:8080"; } ];
      environment.RELEASE = version;
    };
  };

  # What must win over `release "a"`.
  instead = lib.mapAttrsRecursive (_: lib.mkForce);

  test =
    {
      name,
      # NAME of a specialisation = its configuration
      specialisations ? { },
      script,
    }:
    pkgs.testers.runNixOSTest {
      name = "portkeep-${name}";
      nodes.machine = {
        imports = [
          self.nixosModules.default
          (release "a")
        ];
        system.switch.enable = true;
        environment.systemPackages = [
          pkgs.curl
          pkgs.jq
          pkgs.oha
        ];
        specialisation = lib.mapAttrs (_: configuration: { inherit configuration; }) specialisations;
      };
      testScript = ''
        page = "curl --silent --show-error --fail --max-time 30 http://127.0.0.1:8080/"

        def switch(specialisation, action="test"):
            """What `nixos-rebuild` runs. Status and output."""
            toplevel = "/run/booted-system"
            if specialisation:
                toplevel += f"/specialisation/{specialisation}"
            return machine.execute(f"{toplevel}/bin/switch-to-configuration {action} 2>&1")

        machine.wait_for_unit("multi-user.target")
      ''
      + script;
    };
}
