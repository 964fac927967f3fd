#!/usr/bin/env bash
# `imports: [ portkeep/nix/devenv ]` of a devenv.yaml: with devenv's own command, whose process manager is not the one of
# flakes, and which knows its directory itself.
. /checkout/tests/nix/common.sh

project=$(mktemp -d)
cat >"$project/devenv.nix" <<'NIX'
{
  portkeep.enable = true;
  portkeep.apps.api = { project = "services/api"; listen = [ "127.0.0.1:9000" ]; args = [ "--flag" "two words" ]; };
}
NIX
ask() {
  nix-instantiate --eval --strict --json --read-write-mode \
    -E "let config = import $here/devenv-yaml.nix { sources = \"$sources\"; } \"$project\"; in $1"
}

[[ $(ask config.process.manager.implementation) = '"native"' ]]
[[ $(ask config.devenv.root) = "\"$project\"" ]] || fail "the root is $(ask config.devenv.root)"
[[ $(ask config.processes.app.exec) = '"exec portkeep dev --project . --backend auto"' ]] || fail "$(ask config.processes.app.exec)"
[[ $(ask config.processes.api.exec) = *"--project services/api --backend auto --listen 127.0.0.1:9000 -- --flag 'two words'\"" ]] || fail "$(ask config.processes.api.exec)"
[[ $(ask config.processes.app.restart.on) = '"never"' ]]
# The command is in the shell, which evaluates as a whole.
[[ $(ask 'builtins.any (package: package.pname or "" == "portkeep") config.packages') = true ]]
[[ $(ask config.shell.drvPath) == *.drv* ]]
# What the native manager reads.
[[ $(ask 'config.tasks."devenv:processes:app".exec') == *'exec portkeep dev --project .'* ]]
