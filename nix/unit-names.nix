# The files of an app's units, from its spec: home-manager links them one by one, and no two apps may share one.
# units.nix compares them with the rendered files, so the two cannot drift apart.
spec:
let
  inherit (spec) name;
  further = builtins.tail spec.listen;
  watches = spec.watch or null != null;

  watchesSecrets =
    spec.watchSecrets or false && (spec.environmentFiles or [ ] != [ ] || spec.credentials or { } != { });

  # For moving idle connections to the next generation.
  speaksHttp = listen: listen.protocol or (if listen ? stream then "http" else "raw") == "http";
  http = builtins.any speaksHttp spec.listen;
  moves = spec.moveConnections or true && spec.readiness or "notify" == "notify" && http;

  # One, or a list.
  written = spec.health or [ ];
  health =
    if written == null then
      [ ]
    else if builtins.isList written then
      written
    else
      [ written ];
  healthSocket = index: "${name}-health${if index == 0 then "" else "-${toString (index + 1)}"}.socket";
  tells = health != [ ];
in
rec {
  sockets = [
    "${name}.socket"
  ]
  ++ map (listen: "${name}-${listen.name}.socket") further
  ++ builtins.genList healthSocket (builtins.length health)
  ++ (if moves then [ "${name}-move.socket" ] else [ ]);

  # The target that opens the ports. It differs in a user's manager, where the start of any service starts sockets.target again, and
  # with it a port that was closed.
  wantedBy = {
    system = "sockets.target";
    user = "default.target";
  };

  # A command that runs once for each new release, in a unit like that of a generation.
  releases = spec.release or [ ] != [ ];
  ofTheApp = [ "${name}@.service" ] ++ (if releases then [ "${name}-release@.service" ] else [ ]);
  dropIn = map (unit: "${unit}.d/50-sandbox.conf") ofTheApp;

  # Units for both managers.
  both = [
    "${name}.target"
    "${name}.service"
    "${name}-settle@.service"
    "${name}-ended@.service"
  ]
  ++ ofTheApp
  ++ sockets
  ++ (if moves then [ "${name}-move.service" ] else [ ])
  # Units that answer on the health sockets, and report a shutdown there.
  ++ (
    if tells then
      [
        "${name}-health.service"
        "${name}-health.service.d/50-sandbox.conf"
        "${name}-leave.service"
      ]
    else
      [ ]
  )
  ++ (
    if watchesSecrets then
      [
        "${name}-secrets@.path"
        "${name}-secrets.service"
        "${name}-secrets-recheck.service"
      ]
    else
      [ ]
  )
  # The holding page, and the unit that waits for a release beside it.
  ++ (
    if http then
      [
        "${name}-holding.service"
        "${name}-holding.service.d/50-sandbox.conf"
        "${name}-retry.service"
      ]
    else
      [ ]
  );

  # The system manager's drop-in names the app's user, also without a sandbox.
  system = both ++ dropIn ++ map (unit: "${unit}.d/40-system.conf") ofTheApp;

  # A user's manager can watch a build, too.
  user =
    both
    ++ (if spec.sandbox or "strict" == "strict" then dropIn else [ ])
    ++ (
      if watches then
        [
          "${name}.path"
          "${name}-deploy.service"
          "${name}-recheck.service"
        ]
      else
        [ ]
    );
}
