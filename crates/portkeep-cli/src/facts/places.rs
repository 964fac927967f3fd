//! File systems of the app's directories, and addresses of the network interfaces.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// The file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    pub(super) read_only: bool,
    /// Whether the mount forbids execution.
    pub(super) no_exec: bool,
    /// Free bytes.
    pub(super) free: u64,
}

/// The file system of `path`; none if the path does not exist.
pub(super) fn place_of(path: &Path) -> Option<Place> {
    let path = fs::canonicalize(path).ok()?;
    let facts = statvfs(&path).ok()?;
    Some(Place {
        read_only: facts.f_flag.contains(StatVfsMountFlags::RDONLY),
        no_exec: facts.f_flag.contains(StatVfsMountFlags::NOEXEC),
        free: facts.f_bavail.saturating_mul(facts.f_frsize),
        path,
    })
}

impl Place {
    /// Mount point.
    pub(super) fn mount(&self) -> PathBuf {
        mount_of(&self.path).unwrap_or_else(|| "/".into())
    }
}

/// The mount of the nearest directory above. Of several mounts on it, the last one counts.
#[cfg(target_os = "linux")]
fn mount_of(path: &Path) -> Option<PathBuf> {
    let mounts = procfs::process::Process::myself().ok()?.mountinfo().ok()?;
    let above = mounts.0.into_iter().map(|one| one.mount_point);
    above
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.components().count())
}

#[cfg(not(target_os = "linux"))]
fn mount_of(_path: &Path) -> Option<PathBuf> {
    None
}

/// Whether no interface has the address. A socket on such an address receives nothing.
pub(super) fn is_missing(address: SocketAddr) -> bool {
    let is_of_one_link = match address.ip() {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        // The address needs the name of its link.
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unicast_link_local(),
    };
    let bound = UdpSocket::bind((address.ip(), 0));
    !is_of_one_link && bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

/// The interface of the default route, else the loopback.
pub(super) fn main_interface() -> String {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    by_default(&routes).unwrap_or("lo").to_owned()
}

fn by_default(routes: &str) -> Option<&str> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let interface = fields.next()?;
        (fields.next()? == "00000000").then_some(interface)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_here_and_that_are_not() {
        for (address, missing) in [
            ("127.0.0.1:80", false),
            ("0.0.0.0:80", false),
            // No interface has an address that is reserved for documentation.
            ("192.0.2.77:80", true),
            ("224.0.0.1:80", false),
        ] {
            assert_eq!(is_missing(address.parse().unwrap()), missing, "{address}");
        }
    }

    #[test]
    fn the_interface_of_the_default_route() {
        let routes =
            "Iface\tDestination\tGateway\nbr0\t0000A8C0\t00000000\neth1\t00000000\t0100A8C0\n";
        assert_eq!(by_default(routes), Some("eth1"));
        assert_eq!(by_default("Iface\n"), None);
    }

    #[test]
    fn the_nearest_mount_is_named() {
        let place = place_of(Path::new("/proc/self")).unwrap();
        assert!(place.mount().starts_with("/proc"), "{place:?}");
        assert_eq!(place_of(Path::new("/no/such")), None);
    }
}
