# The profile of an app: its spec, and an activation that fails unless the app gets READY and serves for a time.
{
  writeTextDir,
  # deploy-rs's `activate.custom`.
  activate,
  portkeep,
  # The fields of portkeep.json.
  spec,
  # How long the release has to serve without a crash.
  hold ? "5s",
}:
activate (writeTextDir "portkeep.json" (builtins.toJSON spec)) ''
  ${portkeep}/bin/portkeep install --system --now "$PROFILE/portkeep.json"
  # An install hands over where the app runs; this starts it where it does not.
  ${portkeep}/bin/portkeep reload --system ${spec.name}
  ${portkeep}/bin/portkeep serves --system ${spec.name} --for ${hold}
''
