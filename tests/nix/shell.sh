#!/usr/bin/env bash
# The dev shell, as a user meets it: the template, `nix develop`, `devenv up`. Runs as `dev`, who owns the store.
# devenv is the real one; what it starts processes by is not.
. /checkout/tests/nix/common.sh
work=$HOME/nix
assemble

project=$HOME/hello
rm -rf "$project"
mkdir "$project"
cd "$project" || exit

# The template is complete, and its flake evaluates; its inputs are locked as a user's are, but to what is here.
nix flake init --template "path:$work/portkeep"
for file in Cargo.toml Cargo.lock src/main.rs flake.nix package.nix devenv.nix README.md .gitignore; do
  [[ -e $file ]] || fail "the template has no $file"
done
inner=(--override-input portkeep "path:$work/portkeep")
for ((index = 0; index < ${#overrides[@]}; index += 3)); do
  inner+=(--override-input "portkeep/${overrides[index + 1]}" "${overrides[index + 2]}")
done
nix flake lock "${inner[@]}" "path:$project"
nix flake check --no-build "path:$project"

# What the guest can build: the fixture in place of the page.
mv Cargo.toml Cargo.toml.away
probe=$(build --no-out-link -E "(import $here/bare.nix { }).probe { version = \"a\"; }")
cat >portkeep.json <<JSON
{ "name": "page", "exec": ["$probe/bin/probe"], "listen": [{ "stream": "127.0.0.1:8080" }] }
JSON

# Without knowing where it is, the shell still belongs to this directory.
entered=$(retry nix develop --command bash -c 'echo "$DEVENV_ROOT $DEVENV_STATE $(command -v devenv portkeep | wc -l)"')
[[ ${entered##*$'\n'} = "$project $project/.devenv/state 2" ]] || fail "entered: $entered"
# The link that Cargo.toml needs.
[[ -e .portkeep/crates/portkeep/Cargo.toml ]]

# Two commands, no flags.
setsid nix develop --command devenv up >"$work/up.log" 2>&1 &
up=$!
trap 'kill -- -"$up" 2>/dev/null || true' EXIT
deadline=$((SECONDS + 60))
until curl --silent --fail http://127.0.0.1:8080/ >"$work/answer"; do
  if ! kill -0 "$up" 2>/dev/null && grep -q 'signal 9' "$work/up.log"; then exec "$0"; fi
  ((SECONDS < deadline)) || { cat "$work/up.log"; fail "devenv up did not serve"; }
  sleep 0.2
done
grep -q 'version a' "$work/answer" || fail "answered: $(cat "$work/answer")"
# The user's manager holds the port.
systemctl --user is-active page.socket
grep 'portkeep page' "$work/up.log"
# What runs from the store cannot be collected, although no profile has it.
root="^$HOME/.local/state/portkeep/page/gcroots/.* -> $probe\$"
deadline=$((SECONDS + 30))
until nix-store --gc --print-roots 2>/dev/null | grep "$root"; do
  ((SECONDS < deadline)) || fail "no root for $probe"
  sleep 0.1
done

kill -- -"$up"
deadline=$((SECONDS + 30))
while systemctl --user is-active --quiet page.socket; do
  ((SECONDS < deadline)) || fail "the port is still open after devenv up has ended"
  sleep 0.1
done
