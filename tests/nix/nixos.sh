#!/usr/bin/env bash
# The NixOS module: options, assertions, warnings, and the directory of units that NixOS would make.
. /checkout/tests/nix/common.sh
lib="import $sources/nixpkgs.lib/lib"

ask() { nix-instantiate --eval --strict --json --read-write-mode -E "(import $here/nixos.nix { lib = $lib; }).$1"; }
made() { build --no-out-link -E "(import $here/nixos.nix { lib = $lib; }).$1"; }

units=$(made minimal)
(cd "$units" && find . -not -type d | sort) >"/tmp/units"
diff - /tmp/units <<'TEXT'
./multi-user.target.wants/portkeep-catalog.service
./multi-user.target.wants/portkeep-serves-web.service
./portkeep-catalog.service
./portkeep-serves-web.service
./portkeep-shutdown.service
./portkeep.slice
./sockets.target.wants/web-move.socket
./sockets.target.wants/web.socket
./web-ended@.service
./web-holding.service
./web-holding.service.d/50-sandbox.conf
./web-move.service
./web-move.socket
./web-move.socket.d/overrides.conf
./web-retry.service
./web-settle@.service
./web.service
./web.socket
./web.socket.d/overrides.conf
./web.target
./web@.service
./web@.service.d/40-system.conf
./web@.service.d/50-sandbox.conf
TEXT
# What is asked at the end of a switch is about the spec that the units name.
spec_of() { sed -n 's/.* --spec //p' "$1" | sort -u; }
[[ $(spec_of "$units/portkeep-serves-web.service") = "$(spec_of "$units/web.service")" ]]
grep -q '^X-ReloadIfChanged=true$' "$units/web.service"
grep -q '^ExecReload=/nix/store/.*/bin/portkeep handle reload web --spec /nix/store/.*/share/portkeep/web.json$' "$units/web.service"
HOME=/root systemd-analyze verify --man=no "$units"/web.{socket,service,target}
spec=$(ask minimalSpec)
[[ $spec == *'"exec":["/nix/store/'*'-hello/bin/hello"]'* && $spec == *'"name":"web"'* ]] || fail "$spec"

# What a flake asks for itself is what the module installs: each unit names its own spec, and nothing else differs.
plain() { sed -E 's|/nix/store/[^/]*-portkeep-units-web/|STORE/|' "$1"; }
library=$(made library)
[[ $(made description) = "$library" && $(made described) = "$units" ]]
for unit in "$library"/lib/systemd/system/web*.*; do
  [[ -d $unit ]] || diff <(plain "$unit") <(plain "$units/${unit##*/}")
  [[ -d $unit || $unit == *.target ]] || diff --ignore-matching-lines='^WantedBy=' "$unit" "${unit/system\/web/user\/web}"
done

# Every field reaches the units, and portkeep accepts it: the package was built.
units=$(made every)
for line in 'TimeoutStartSec=90s' 'WatchdogSec=10s' 'MemoryMax=512M' 'MemoryHigh=' 'CPUQuota=150%' 'TasksMax=64' \
  'LoadCredential=token:/run/secrets/token' 'EnvironmentFile=/etc/web.env' 'WorkingDirectory=/srv/web' 'Type=exec'; do
  grep -q "^$line" "$units/web@.service" || fail "no $line in $(cat "$units/web@.service")"
done
[[ -L $units/multi-user.target.wants/web.service && -L $units/sockets.target.wants/web-dns.socket ]]
# Without a sandbox nothing is locked, and the user stands all the same.
[[ $(grep -v '^X-' "$units/web@.service.d/50-sandbox.conf" | grep '=') = User=web ]]
grep -q '^SocketMode=0660$' "$units/web-control.socket" && grep -q '^SocketGroup=nginx$' "$units/web-control.socket"
! grep -q '^FreeBind=' "$units/web-dns.socket"
sandbox=$(made open)/web@.service.d/50-sandbox.conf
grep -q '^ReadWritePaths=/srv/web/data$' "$sandbox" && grep -q '^User=web$' "$sandbox"
[[ $(ask unset) = '[]' ]] || fail "not tried here: $(ask unset)"
[[ $(ask everyWarnings) == *SESSION_SECRET*credentials* ]]
[[ $(ask none) = '[]' ]]

# What a switch runs is a script that parses, for the apps that it is about.
for script in checks activation; do
  text=$(nix-instantiate --eval --strict --read-write-mode -E "builtins.toFile \"$script\" (builtins.unsafeDiscardStringContext (import $here/nixos.nix { lib = $lib; }).$script)" | tr -d '"')
  bash -n "$text"
  cp "$text" "/tmp/$script"
  grep -Eq 'changed-listen.sh .* web( |$)' "$text" || fail "$(cat "$text")"
done
grep -Eq 'foreign-units.sh .* web ' /tmp/checks || fail "$(cat /tmp/checks)"
# What refuses a switch refuses its check, and a missing tool is no answer; what only tells does not fail.
mkdir -p /tmp/without/bin
for verb in switch test check dry-activate boot; do
  status=0
  sed -E 's|^( *)PATH=[^ ]*|\1PATH=/tmp/without/bin|; s|[^ ]*/bin/bash|/bin/bash|' /tmp/checks >/tmp/checks-without-tools
  (set -- "$units" "$verb"; . /tmp/checks-without-tools) >/tmp/told 2>&1 || status=1
  grep -q 'is not in PATH' /tmp/told || fail "$verb: $(cat /tmp/told)"
  case $verb in
    switch | test | check) [[ $status = 1 ]] || fail "$verb passes" ;;
    *) [[ $status = 0 ]] || fail "$verb is refused" ;;
  esac
done

# As pre-switch-check.nix of NixOS puts it together, for shellcheck.
cat >/tmp/pre-switch-checks <<TEXT
#!/usr/bin/env bash
set -o errexit
set -o nounset
set -o pipefail
if ! (
$(cat /tmp/checks)
) >&2 ; then
  exit 1
fi
TEXT

[[ $(ask good) == *nix/store* ]]
[[ $(ask clashing) = '[false,false,false,false,false]' ]] || fail "$(ask clashing)"
expect_mention 'one and other both listen on 0.0.0.0:80 (127.0.0.1:80); give one of them another address' ask clash
expect_mention 'a and a-b would both have the unit a-b.socket' ask sameUnit
expect_mention 'rename the app' ask takenName
expect_mention 'would run it as root; write the user that it is to run as in allow.user' ask wouldBeRoot
expect_mention 'allow.network has no effect' ask nothingLocked
expect_mention 'choose another name for the app' ask ourName
expect_mention "drainTimeot' does not exist" ask wrongField
expect_mention 'startTimeout' ask wrongType
expect_mention 'string matching the pattern [a-z]' ask wrongName
expect_mention 'listen' ask noListen
expect_mention 'exec' ask noPackage
