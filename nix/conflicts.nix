# Assertions that no two apps share a unit file or an address. Only Nix sees all apps at once.
{ lib }:
apps:
let
  fileNames = import ./unit-names.nix;

  # Each pair of apps, once.
  pairs = lib.concatLists (
    lib.imap0 (index: one: map (other: { inherit one other; }) (lib.drop (index + 1) apps)) apps
  );

  # { kind, host, port } of an IP address, { path } of a Unix socket.
  addressesOf =
    app:
    map (
      listen:
      let
        text = listen.stream or (listen.datagram or (listen.sequentialPacket or ""));
        ip = builtins.match "(.*):([0-9]+)" text;
      in
      if lib.hasPrefix "/" text || ip == null then
        {
          inherit text;
          path = text;
        }
      else
        {
          inherit text;
          kind = if listen ? datagram then "UDP" else "TCP";
          host = builtins.head ip;
          # "080" is 80.
          port = lib.toIntBase10 (lib.last ip);
        }
    ) app.spec.listen;

  isIPv6 = lib.hasPrefix "[";
  isEvery = host: host == "[::]" || host == "0.0.0.0";

  # The kernel refuses the second of two such sockets.
  clash =
    one: other:
    if one ? path || other ? path then
      one.path or null == other.path or ""
    else
      one.kind == other.kind
      && one.port == other.port
      && (
        one.host == other.host
        # systemd opens [::] for IPv4, too.
        || one.host == "[::]"
        || other.host == "[::]"
        || (isIPv6 one.host == isIPv6 other.host && (isEvery one.host || isEvery other.host))
      );

  addresses =
    { one, other }:
    map
      (pair: {
        assertion = !clash pair.first pair.second;
        message = "portkeep: the apps ${one.name} and ${other.name} both listen on ${pair.first.text}${
          lib.optionalString (pair.first.text != pair.second.text) " (${pair.second.text})"
        }; give one of them another address in `listen`.";
      })
      (
        lib.cartesianProduct {
          first = addressesOf one;
          second = addressesOf other;
        }
      );

  units =
    { one, other }:
    let
      shared = lib.intersectLists (fileNames one.spec).user (fileNames other.spec).user;
    in
    {
      assertion = shared == [ ];
      message = "portkeep: the apps ${one.name} and ${other.name} would both have the unit ${toString shared}; rename one of them, or its socket.";
    };
in
lib.concatMap addresses pairs ++ map units pairs
