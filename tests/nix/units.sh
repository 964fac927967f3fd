#!/usr/bin/env bash
# nix/units.nix with a real nix: portkeep is the builder, and says no where it should.
. /checkout/tests/nix/common.sh
cd "$here" || exit

units() {
  nix-build --no-out-link --expr "
    let bare = import $here/bare.nix { };
    in import $here/../../nix/units.nix { inherit (bare) runCommand writeText portkeep; } {
      spec = { name = \"a\"; exec = [ \"/bin/true\" ]; listen = [ { stream = \"127.0.0.1:80\"; } ]; } // { $1 };
      ${2-}
    }"
}

# Development and production come from one call, and differ in nothing but the sandbox and the target that wants a socket.
both=$(retry units '')
diff --recursive --ignore-matching-lines='^WantedBy=' --exclude={40-system,50-sandbox}.conf "$both"/lib/systemd/{system,user}
[[ $(find "$both/lib" -type f | wc -l) = 25 ]] || fail "not twenty-five files: $(find "$both/lib" -type f)"
for manager in system user; do
  # What 257 itself says of them.
  HOME=/root XDG_RUNTIME_DIR=/run systemd-analyze verify --man=no --"$manager" "$both/lib/systemd/$manager"/a.{socket,service,target}
done

# The user's manager watches builds, too; those files are all that is more.
watched=$(retry units 'watch = "/srv/a";')
more=$(diff --recursive --ignore-matching-lines='^WantedBy=' --exclude={40-system,50-sandbox}.conf "$watched"/lib/systemd/{system,user} | sed 's/.*: //' | sort | tr '\n' ' ' || true)
[[ $more = 'a-deploy.service a-recheck.service a.path ' ]] || fail "what differs: $more"

# The store hands every file to everybody; portkeep's own mode is gone.
[[ $(stat -c %a "$both/share/portkeep/a.json") = 444 ]]

expect_mention 'paths must be absolute' units 'exec = [ "target/a" ];'
expect_mention 'paths must be absolute' units 'credentials.x = "secrets/x";'
expect_mention 'did you mean' retry units 'drainTimeot = "3s";'
expect_mention 'nix/unit-names.nix is behind' retry units '' 'manager = "system"; expected = [ "a.socket" ];'
# A bare name is looked up when it is started.
retry units 'exec = [ "true" ];' >/dev/null
