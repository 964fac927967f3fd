//! Directory names that would give an app a directory of portkeep or of the machine.

use std::path::Path;

use crate::{Problem, Spec, SpecError};
use portkeep_contract::OWN_NAMES;

/// Usual names in `/var/lib` and `/var/cache`. The list cannot be complete: `install` checks who owns an existing
/// directory. This list answers earlier, and also where no directory can be checked.
const OF_MACHINES: [&str; 30] = [
    "alternatives",
    "apparmor",
    "apt",
    "containers",
    "dbus",
    "dhcp",
    "dnf",
    "docker",
    "dpkg",
    "flatpak",
    "fontconfig",
    "ldconfig",
    "libvirt",
    "logrotate",
    "man",
    "misc",
    "nixos",
    "os-prober",
    "pacman",
    "pam",
    "plymouth",
    "polkit-1",
    "private",
    "rpm",
    "selinux",
    "snapd",
    "sudo",
    "systemd",
    "ucf",
    "udisks2",
];

pub(super) fn check(spec: &Spec) -> Result<(), SpecError> {
    let name = spec.name.as_str();
    if OWN_NAMES.contains(&name) {
        return Err(Problem::OurName(name.to_owned()).at("name"));
    }
    let directories = [
        (
            "allow.stateDirectory",
            spec.allow.state_directory,
            "/var/lib",
        ),
        (
            "allow.cacheDirectory",
            spec.allow.cache_directory,
            "/var/cache",
        ),
    ];
    for (field, allowed, parent) in directories {
        if allowed && OF_MACHINES.contains(&name) {
            return Err(Problem::DirectoryOfTheMachine(Path::new(parent).join(name)).at(field));
        }
    }
    Ok(())
}
