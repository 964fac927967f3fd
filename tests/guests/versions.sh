# The versions of systemd that there are guests of: the one list. recipe.sh tells what each is made of.
# shellcheck shell=bash
# shellcheck disable=SC2034

guest_versions=(252 257)
