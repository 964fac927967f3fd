# guest build: root file systems, made once and kept.
# shellcheck shell=bash
# shellcheck source=tests/guests/recipe.sh
. "$here/recipe.sh"

# The mirror and settings that the host's own apt uses, so that proxies and mirrors just work.
host_mirror() {
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" { print $2; exit }'
}

host_apt_options() {
  apt-config dump --no-empty --format '%F "%v";%n' |
    grep -E '^Acquire::(https?|ftp|tor)::|^Acquire::(Check-Valid-Until|Check-Date|Retries|ForceIPv[46]) ' || true
}

# Guests with more packages (PORTKEEP_GUEST_PACKAGES, separated by commas) have a file system of their own.
rootfs_path() {
  local recipe more=${PORTKEEP_GUEST_PACKAGES:-}
  recipe=$(sha256sum "$here/recipe.sh" | cut -c1-12)
  echo "$cache/rootfs-$version-$recipe${more:+-with-${more//,/-}}"
}

guest_build() {
  split_guest "${1:-}"
  local rootfs
  rootfs=$(rootfs_path)
  mkdir -p "$cache"
  # Two callers at once: the second waits and finds it made.
  exec {lock}>"$cache/build.lock"
  flock "$lock"
  [[ -d $rootfs ]] || rootfs_make "$rootfs"
  exec {lock}>&-
  echo "$rootfs"
}

rootfs_make() {
  local rootfs=$1 mirror option options=() release found started=$SECONDS
  command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap (tests/run does it)"
  release=$(release_of "$version")
  say "making the root file system for systemd $version (Debian $release)"
  mirror=$(host_mirror)
  while read -r option; do
    [[ -z $option ]] || options+=(--aptopt="$option")
  done < <(host_apt_options)
  [[ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || options+=(--keyring=/usr/share/keyrings/debian-archive-keyring.gpg)
  # A mirror that is a little behind has an index of sid that has expired; those of releases do not expire.
  [[ $release != sid ]] || options+=(--aptopt='Acquire::Check-Valid-Until "false"')
  # What other recipes made.
  find "$cache" -maxdepth 1 -name "rootfs-$version-*" ! -name "rootfs-$version-$(sha256sum "$here/recipe.sh" | cut -c1-12)*" \
    -exec rm -rf {} +
  rm -rf "$rootfs.part"
  mmdebstrap --quiet --variant=minbase --include="$(packages_of "$version")" "${options[@]}" \
    "$release" "$rootfs.part" ${mirror:+"$mirror"} >&2 </dev/null
  found=$(chroot "$rootfs.part" dpkg-query --show --showformat='${source:Upstream-Version}' systemd)
  # Upstream's 257.13 is a 257.
  [[ ${found%%[!0-9]*} = "$version" ]] || die "Debian $release has systemd $found, so there is no guest with systemd $version;" \
    "write the number that it has into tests/guests/versions.sh"
  customize "$rootfs.part"
  mv "$rootfs.part" "$rootfs"
  say "made in $((SECONDS - started)) s: $rootfs"
}
