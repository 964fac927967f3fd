#!/usr/bin/env bash
# The home-manager module: what is linked, what an activation refuses, and what the real sd-switch would do with it.
. /checkout/tests/nix/common.sh
expression="import $here/home.nix { lib = import $sources/nixpkgs.lib/lib; homeManager = $sources/home-manager; }"

generation() { build --no-out-link -E "($expression).$1" 2>/dev/null; }
as_dev() { env HOME=/home/dev USER=dev XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus setpriv --reuid dev --regid dev --init-groups -- "$@"; }
control() { as_dev systemctl --user "$@"; }
units=home-files/.config/systemd/user

a=$(generation a) b=$(generation b) moved=$(generation moved) allowed=$(generation allowed) removed=$(generation removed)

(cd "$a/$units" && find . -not -type d | sort) >/tmp/units
diff - /tmp/units <<'TEXT'
./default.target.wants/page-move.socket
./default.target.wants/page.socket
./page-deploy.service
./page-ended@.service
./page-holding.service
./page-holding.service.d/50-sandbox.conf
./page-move.service
./page-move.socket
./page-recheck.service
./page-retry.service
./page-settle@.service
./page.path
./page.service
./page.socket
./page.target
./page.target.wants/page.path
./page@.service
./page@.service.d/50-sandbox.conf
TEXT
# systemd takes the name of a unit from where its link ends.
[[ $(readlink -f "$a/$units/default.target.wants/page.socket") == */page.socket ]]

# What home-manager does, less what it does to other files.
directory=/home/dev/.config/systemd/user
place() {
  as_dev rm -rf "$directory"
  as_dev mkdir -p "$directory"
  as_dev cp -rP --no-preserve=mode "$1/$units/." "$directory/"
}
activate() { as_dev env oldGenPath="$1" newGenPath="$2" bash "$2/activate"; }
plan() { as_dev sd-switch --dry-run --verbose --old-units "$1/$units" --new-units "$2/$units" 2>&1 || true; }

# A development session under the name of the app is not run over.
as_dev mkdir -p /run/user/1000/systemd/user
as_dev touch /run/user/1000/systemd/user/page.service
expect_mention 'portkeep dev` runs page at this moment' activate "$a" "$b"
as_dev rm /run/user/1000/systemd/user/page.service

activate "$a" "$a"
place "$a"
control daemon-reload
control start page.socket page-move.socket page.path
curl --silent --fail --retry 3 http://127.0.0.1:8080/ | grep 'version a'

# Another release: the handle is reloaded, and nothing else is touched.
planned=$(plan "$a" "$b")
echo "$planned"
[[ $planned == *page.service* ]] || fail "the handle is not in the plan: $planned"
grep -iE '^(stop|start|restart)' <<<"$planned" && fail "more than a reload: $planned"
activate "$a" "$b"
place "$b"
as_dev sd-switch --old-units "$a/$units" --new-units "$b/$units"
curl --silent --fail http://127.0.0.1:8080/ | grep 'version b'
[[ $(control is-active page.socket) = active ]]

# Other addresses: refused, or allowed and done.
expect_mention 'restartSocket = true' activate "$b" "$moved"
curl --silent --fail http://127.0.0.1:8080/ | grep 'version b'
activate "$b" "$allowed"
place "$allowed"
as_dev sd-switch --old-units "$b/$units" --new-units "$allowed/$units"
curl --silent --fail --retry 3 --retry-connrefused http://127.0.0.1:9090/ | grep 'version b'

# Removed: the port closes, although the socket refuses to be stopped by name.
activate "$allowed" "$removed"
place "$removed"
as_dev sd-switch --old-units "$allowed/$units" --new-units "$removed/$units"
deadline=$((SECONDS + 30))
while [[ -n $(control list-units --no-legend --state=active 'page*') ]]; do
  ((SECONDS < deadline)) || fail "still there: $(control list-units --all 'page*')"
  sleep 0.1
done
control stop other.target

expect_mention 'other and page both listen on 127.0.0.1:8080' nix-instantiate --eval -E "($expression).clash"
as_dev rm -rf "$directory"
control daemon-reload
