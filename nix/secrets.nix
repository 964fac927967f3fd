# Warns about variables that look like secrets: everybody can read a spec in the Nix store.
{ lib }:
apps:
let
  looksSecret =
    variable:
    builtins.match ".*(SECRET|PASSWORD|PASSWD|TOKEN|PRIVATE_KEY|API_KEY).*" (lib.toUpper variable)
    != null;
in
lib.concatMap (
  app:
  map (
    variable:
    "portkeep: ${variable} in `environment` of ${app.name} can be read by everybody in the Nix store. If it is a secret, put it in a file and name that in `credentials` or `environmentFiles`."
  ) (builtins.filter looksSecret (builtins.attrNames app.environment))
) apps
