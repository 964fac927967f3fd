# deploy/deploy-rs/profile.nix, as deploy-rs sees it on a machine without nixpkgs: stand-ins for what builds a profile.
{
  outputs = _: {
    deploy.nodes.app2 =
      let
        bare = import /checkout/tests/nix/bare.nix { system = "x86_64-linux"; };
        behaviour = builtins.fromJSON (builtins.readFile /root/fleet/deploy-rs.json);
        # What deploy-rs's own does, with the machine's shell.
        activate =
          base: script:
          bare.derive "activatable" { inherit script; passAsFile = [ "script" ]; } ''
            mkdir $out
            cp ${base}/portkeep.json $out/
            { printf '%s\n' '#!/bin/bash' 'set -euo pipefail'; cat "$scriptPath"; } >$out/deploy-rs-activate
            printf '%s\n' '#!/bin/bash' 'exec /opt/portkeep/bin/activate "$@"' >$out/activate-rs
            chmod +x $out/deploy-rs-activate $out/activate-rs
          '';
      in
      {
        hostname = "198.18.0.12";
        sshUser = "root";
        profiles.shop = {
          user = "root";
          path = import /checkout/deploy/deploy-rs/profile.nix {
            writeTextDir =
              name: text:
              bare.derive "text" { inherit text; passAsFile = [ "text" ]; } ''mkdir $out; cp "$textPath" $out/${name}'';
            inherit activate;
            inherit (bare) portkeep;
            spec = {
              name = "shop";
              exec = [ "${bare.probe behaviour}/bin/probe" ];
              listen = [ { stream = "0.0.0.0:8080"; } ];
            };
            hold = "5s";
          };
        };
      };
  };
}
