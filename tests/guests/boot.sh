#!/usr/bin/env bash
# Boots a guest on a throwaway overlay; runs in the guest's cgroup and in its own mount namespace.
# boot.sh ROOTFS STATE MACHINE BUILD-DIRECTORY NSPAWN-OPTION…
set -euo pipefail
rootfs=$1 state=$2 machine=$3 target=$4
shift 4

# In memory, because an overlay cannot lie on an overlay (containers), and because it is quick.
mkdir -p "$state/overlay"
mount -t tmpfs -o mode=755 tmpfs "$state/overlay"
mkdir "$state"/overlay/{upper,work,root}
mount -t overlay -o "lowerdir=$rootfs,upperdir=$state/overlay/upper,workdir=$state/overlay/work" overlay "$state/overlay/root"

# Without a registered machine, nspawn leaves at a reboot with 133 and wants to be started again.
# The hierarchy is forced, because nspawn looks at the guest's systemd only where it knows its paths.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
while :; do
  status=0
  # It may have been cleaned away, even since the last boot.
  mkdir -p "$target"
  systemd-nspawn --quiet --register=no --keep-unit --directory="$state/overlay/root" \
    --machine="$machine" --hostname=guest --console=pipe "$@" --boot || status=$?
  [[ $status = 133 ]] || exit "$status"
done
