# What a guest's root file system is made of. The cache is keyed by the text of this file.
# shellcheck shell=bash

# The Debian release that has this systemd.
release_of() {
  case $1 in
    252) echo bookworm ;;
    257) echo trixie ;;
    # Whatever comes next. rootfs.sh looks whether it is what the guest is called.
    *) echo sid ;;
  esac
}

# systemd with its user manager; the load generator; ps, ss and curl for people who look around in there.
packages_of() {
  local packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,iproute2,curl,wrk
  case $1 in
    # A nix without its daemon, and what a build needs.
    257) packages+=,nix-bin,git ;;
  esac
  packages+=${PORTKEEP_GUEST_PACKAGES:+,$PORTKEEP_GUEST_PACKAGES}
  echo "$packages"
}

# Runs on the host after the packages are in; $1 is the root directory.
customize() {
  local root=$1 unit
  # `dev` is a developer whose user manager starts at boot and outlives every login.
  chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash dev
  mkdir -p "$root/var/lib/systemd/linger"
  touch "$root/var/lib/systemd/linger/dev"
  # An identity and no first boot: presets and prompts would cost a second each time. Not by systemd-machine-id-setup: that of
  # sid wants to have /proc.
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  echo guest >"$root/etc/hostname"
  printf '127.0.0.1 localhost guest\n::1 localhost\n' >"$root/etc/hosts"
  echo 'LANG=C.UTF-8' >"$root/etc/default/locale"
  # Nothing may start by itself in the middle of a measurement.
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer ldconfig.service systemd-journal-catalog-update.service systemd-update-done.service \
    console-getty.service getty.target; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  # Persistent, so that each user has a journal of its own as on a real machine.
  mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
  printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\nSystemMaxUse=64M\n' >"$root/etc/systemd/journald.conf.d/guest.conf"
}
