#!/usr/bin/env bash
# Deploys a version of the app to app2 by deploy-rs: deploy.sh JSON, where JSON is what `stamp` takes. Runs on the edge, as root.
. /checkout/tests/nix/common.sh
mkdir -p /srv/deploy-rs
cp /checkout/tests/fleet/deploy-rs/flake.nix /srv/deploy-rs/
printf '%s' "$1" >/root/fleet/deploy-rs.json
cd /srv/deploy-rs || exit
retry nix build --impure --no-link ".#deploy.nodes.app2.profiles.shop.path"
exec deploy --skip-checks .#app2 -- --impure
