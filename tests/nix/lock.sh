#!/usr/bin/env bash
# flake.lock is what nix itself would write, found without the network.
. /checkout/tests/nix/common.sh
rm -rf "$work/lock"
mkdir -p "$work/lock"
cp -r /checkout/{flake.nix,flake.lock,nix} "$work/lock/"
nix flake lock --offline "path:$work/lock"
cmp /checkout/flake.lock "$work/lock/flake.lock"
