# The cgroup of a guest. Two guests in one cgroup would share one tree, and units of the same
# name would fight over it; and a cgroup of its own is how all that a guest left behind is found.
# shellcheck shell=bash

# Where cgroup v2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host.
cgroup2_mount() {
  local mount
  mount=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-") { if ($(i+1) == "cgroup2") print $5; break } }' /proc/self/mountinfo | head -n 1)
  [[ -n $mount ]] || die "no cgroup v2 is mounted on this machine; systemd guests need it"
  echo "$mount"
}

# systemd-nspawn reads the path from the name=systemd hierarchy where a hybrid host has one.
cgroup1_systemd_mount() {
  awk '{ for (i = 7; i < NF; i++) if ($i == "-") { if ($(i+1) == "cgroup" && $NF ~ /name=systemd/) print $5; break } }' /proc/self/mountinfo | head -n 1
}

guest_cgroup() { echo "$(cgroup2_mount)/$owner-$guest"; }

cgroup_enter() {
  local v1
  mkdir -p "$(guest_cgroup)"
  echo $BASHPID >"$(guest_cgroup)/cgroup.procs"
  v1=$(cgroup1_systemd_mount)
  if [[ -n $v1 ]]; then
    mkdir -p "$v1/$owner-$guest"
    echo $BASHPID >"$v1/$owner-$guest/cgroup.procs"
  fi
}

# Ends what still runs in the guest's cgroup, and removes the cgroup.
cgroup_remove() {
  local cgroup v1 deadline=$((SECONDS + 10))
  cgroup=$(guest_cgroup)
  v1=$(cgroup1_systemd_mount)
  if [[ -d $cgroup ]]; then
    echo 1 >"$cgroup/cgroup.kill"
    while ! cgroup_rmdir "$cgroup"; do
      ((SECONDS < deadline)) || die "processes in $cgroup do not end"
      sleep 0.05
    done
  fi
  [[ -z $v1 || ! -d $v1/$owner-$guest ]] || cgroup_rmdir "$v1/$owner-$guest" || true
}

cgroup_rmdir() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [[ ! -d $1 ]]; }

# The guest's PID 1 as the host numbers it; empty if there is none.
guest_leader() {
  local procs pid
  procs=$(guest_cgroup)/payload/init.scope/cgroup.procs
  [[ -e $procs ]] || return 0
  while read -r pid; do
    if grep -qsE '^NSpid:.*\s1$' "/proc/$pid/status"; then
      echo "$pid"
      return
    fi
  done <"$procs"
}
