# The files of an app's units, from its spec: home-manager links them one by one, and no two apps may share one.
# units.nix compares them with what was rendered, so the two cannot drift apart.
spec:
let
  inherit (spec) name;
  further = builtins.tail spec.listen;
  isUser = spec.watch or null != null;
in
rec {
  sockets = [ "${name}.socket" ] ++ map (listen: "${name}-${listen.name}.socket") further;

  # What the system manager gets.
  system = [
    "${name}.target"
    "${name}.service"
    "${name}@.service"
  ]
  ++ sockets
  ++ (if spec.sandbox or "strict" == "strict" then [ "${name}@.service.d/50-sandbox.conf" ] else [ ]);

  # A user's manager can watch a build, too.
  user =
    system
    ++ (
      if isUser then
        [
          "${name}.path"
          "${name}-deploy.service"
          "${name}-recheck.service"
        ]
      else
        [ ]
    );
}
