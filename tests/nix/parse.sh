#!/usr/bin/env bash
# Every Nix file parses.
. /checkout/tests/nix/common.sh
find /checkout/flake.nix /checkout/nix /checkout/deploy /checkout/tests/nix -name '*.nix' -print0 |
  xargs -0 nix-instantiate --parse >/dev/null
