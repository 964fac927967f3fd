# The versions of systemd that there are guests of: the one list. recipe.sh tells what each is made of. The last is the one
# in Debian sid; when sid moves on, the guest is not made, and this number is what has to change.
# shellcheck shell=bash
# shellcheck disable=SC2034

guest_versions=(252 257 262)
