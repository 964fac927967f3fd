#!/usr/bin/env bash
# Builds the unit directories that guest.rs switches between. releases.sh EXPRESSION: how units are installed.
. /checkout/tests/nix/common.sh
build -E "import $here/releases.nix { system = import $1; }" --out-link /srv/releases
