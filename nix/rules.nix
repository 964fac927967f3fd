# Assertions for what the build of an app's units would refuse: they name the option before anything is built.
{ lib }:
# "system" or "user".
manager: apps:
let
  locks = (lib.importJSON ./schema.json)."$defs".Allow.properties;

  # Fields that have no effect without a sandbox.
  withoutEffect =
    app:
    lib.filter (field: field != "user" && app.allow.${field} != locks.${field}.default or null) (
      lib.attrNames locks
    );

  # Reserved for portkeep's own directories: the names are in crates/portkeep-contract/src/lib.rs.
  ours = [
    "portkeep"
    "portkeep-local"
  ];

  rules = app: [
    {
      assertion = app.sandbox != "off" || manager != "system" || app.allow.user != null;
      message = "portkeep: the app ${app.name} has sandbox = \"off\", and the system manager would run it as root; write the user that it is to run as in allow.user (\"root\" if that is meant).";
    }
    {
      assertion = app.sandbox != "off" || withoutEffect app == [ ];
      message = "portkeep: the app ${app.name} has sandbox = \"off\", which locks nothing, so allow.${toString (lib.head (withoutEffect app ++ [ "" ]))} has no effect; remove it, or write sandbox = \"strict\".";
    }
    {
      assertion = !(lib.elem app.name ours);
      message = "portkeep: ${app.name} is the name of portkeep's own files; choose another name for the app.";
    }
  ];
in
lib.concatMap rules apps
