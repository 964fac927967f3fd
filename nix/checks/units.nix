# systemd accepts the units that Nix renders, and development and production get the same units.
{
  self,
  pkgs,
  portkeep,
  ...
}:
let
  units = self.lib.mkUnits {
    inherit pkgs portkeep;
    app = {
      name = "hello";
      package = pkgs.hello;
      listen = [ { stream = "127.0.0.1:8080"; } ];
    };
  };
in
pkgs.runCommand "portkeep-check-units" { nativeBuildInputs = [ pkgs.systemd ]; } ''
  export HOME=$PWD XDG_RUNTIME_DIR=$PWD
  for manager in system user; do
    systemd-analyze verify --man=no --$manager ${units}/lib/systemd/$manager/hello.{socket,service,target}
  done
  diff --recursive --exclude=50-sandbox.conf ${units}/lib/systemd/{system,user}
  touch $out
''
