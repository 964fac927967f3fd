//! Finds the holders of listening sockets in /proc. Where there is none, nothing can be told.

use portkeep_spec::Address;

use super::Holder;

/// The first holder of what stands in the way of `address`; `None` if nobody does, or it cannot be told. Several may
/// hold it: the one with the smallest number passed it to the others.
pub(crate) fn of(address: &Address) -> Option<Holder> {
    all(address).into_iter().next()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn all(_address: &Address) -> Vec<Holder> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn listening_at(_address: &Address) -> Option<bool> {
    None
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{all, listening_at};

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashSet;
    use std::net::SocketAddr;

    use jiff::{SignedDuration, Timestamp};
    use portkeep_spec::{Address, Manager as Which};
    use procfs::net::{TcpState, UnixState};
    use procfs::process::{FDTarget, Process, all_processes};

    use super::Holder;

    /// A listening socket, as the kernel lists it.
    struct Listening {
        inode: u64,
        uid: Option<u32>,
    }

    /// Everybody who holds what stands in the way of `address`, the smallest process number first.
    pub(crate) fn all(address: &Address) -> Vec<Holder> {
        let sockets = sockets(address).unwrap_or_default();
        let Some(first) = sockets.first() else {
            return Vec::new();
        };
        let inodes: HashSet<u64> = sockets.iter().map(|one| one.inode).collect();
        let mut holders = processes_with(&inodes);
        if holders.is_empty() {
            holders.push(Holder {
                pid: None,
                uid: first.uid,
                command: String::new(),
                unit: None,
                manager: None,
                since: None,
            });
        }
        holders
    }

    /// Whether anybody listens there; `None` where it cannot be told.
    pub(crate) fn listening_at(address: &Address) -> Option<bool> {
        sockets(address).map(|sockets| !sockets.is_empty())
    }

    fn sockets(address: &Address) -> Option<Vec<Listening>> {
        match address {
            Address::Tcp(wanted) => {
                let entries = procfs::net::tcp().ok()?;
                let entries = entries
                    .into_iter()
                    .chain(procfs::net::tcp6().unwrap_or_default());
                Some(
                    entries
                        .filter(|entry| {
                            entry.state == TcpState::Listen && meets(entry.local_address, *wanted)
                        })
                        .map(|entry| Listening {
                            inode: entry.inode,
                            uid: Some(entry.uid),
                        })
                        .collect(),
                )
            }
            Address::Udp(wanted) => {
                let entries = procfs::net::udp().ok()?;
                let entries = entries
                    .into_iter()
                    .chain(procfs::net::udp6().unwrap_or_default());
                Some(
                    entries
                        .filter(|entry| meets(entry.local_address, *wanted))
                        .map(|entry| Listening {
                            inode: entry.inode,
                            uid: Some(entry.uid),
                        })
                        .collect(),
                )
            }
            other => {
                let path = other.path()?;
                let entries = procfs::net::unix().ok()?;
                Some(
                    entries
                        .into_iter()
                        .filter(|entry| entry.path.as_deref() == Some(path))
                        // An accepted connection bears the path, too, and is connected.
                        .filter(|entry| entry.state != UnixState::CONNECTED)
                        .map(|entry| Listening {
                            inode: entry.inode,
                            uid: None,
                        })
                        .collect(),
                )
            }
        }
    }

    /// The same address, or any address with the same port.
    fn meets(local: SocketAddr, wanted: SocketAddr) -> bool {
        local.port() == wanted.port()
            && (local.ip() == wanted.ip()
                || local.ip().is_unspecified()
                || wanted.ip().is_unspecified())
    }

    fn processes_with(inodes: &HashSet<u64>) -> Vec<Holder> {
        let Ok(processes) = all_processes() else {
            return Vec::new();
        };
        let mut holders: Vec<_> = processes
            .flatten()
            .filter(|process| holds(process, inodes))
            .map(|process| holder(&process))
            .collect();
        holders.sort_unstable_by_key(|holder| holder.pid);
        holders
    }

    fn holds(process: &Process, inodes: &HashSet<u64>) -> bool {
        let Ok(mut descriptors) = process.fd() else {
            return false;
        };
        descriptors.any(|descriptor| {
            matches!(descriptor, Ok(one) if matches!(one.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
        })
    }

    fn holder(process: &Process) -> Holder {
        let cgroup = process.cgroups().ok().and_then(|groups| {
            let group = groups.into_iter().find(|group| group.hierarchy == 0)?;
            Some(group.pathname)
        });
        let (unit, manager) = cgroup.as_deref().map_or((None, None), unit_of);
        Holder {
            pid: Some(process.pid),
            uid: process.uid().ok(),
            command: process.cmdline().unwrap_or_default().join(" "),
            unit,
            manager,
            since: since(process),
        }
    }

    /// The unit that a control group belongs to, and its manager: the innermost one.
    pub(super) fn unit_of(cgroup: &str) -> (Option<String>, Option<Which>) {
        let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
        let mut parts = cgroup.rsplit('/').skip_while(|part| !is_unit(part));
        let Some(unit) = parts.next() else {
            return (None, None);
        };
        let of_user = parts.any(|part| part.starts_with("user@") && part.ends_with(".service"));
        let manager = if of_user { Which::User } else { Which::System };
        (Some(unit.to_owned()), Some(manager))
    }

    fn since(process: &Process) -> Option<Timestamp> {
        let ticks = process.stat().ok()?.starttime;
        let boot = procfs::boot_time_secs().ok()?;
        let after = ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1);
        let boot = Timestamp::from_second(i64::try_from(boot).ok()?).ok()?;
        boot.checked_add(SignedDuration::from_millis(i64::try_from(after).ok()?))
            .ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use portkeep_spec::Manager as Which;

    use super::*;

    #[test]
    fn this_process_is_found_by_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let me = i32::try_from(std::process::id()).unwrap();
        let holder = of(&address).unwrap();
        assert_eq!(holder.pid, Some(me));
        let age = jiff::Timestamp::now().duration_since(holder.since.unwrap());
        assert!((-2..3600).contains(&age.as_secs()), "{age}");
        drop(listener);
        assert_eq!(listening_at(&address), Some(false));
    }

    #[test]
    fn a_path_is_held_by_who_listens_not_by_who_is_connected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let address = Address::UnixStream(path.clone());
        assert_eq!(listening_at(&address), Some(true));
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        drop(listener);
        assert_eq!(listening_at(&address), Some(false));
        drop((client, server));
    }

    #[test]
    fn units_by_control_group() {
        for (cgroup, unit, manager) in [
            (
                "/system.slice/nginx.service",
                Some("nginx.service"),
                Some(Which::System),
            ),
            ("/init.scope", Some("init.scope"), Some(Which::System)),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-hello.slice/hello@3.service",
                Some("hello@3.service"),
                Some(Which::User),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                Some("init.scope"),
                Some(Which::User),
            ),
            (
                "/user.slice/user-1000.slice/session-2.scope",
                Some("session-2.scope"),
                Some(Which::System),
            ),
            (
                "/system.slice/a.service/nested",
                Some("a.service"),
                Some(Which::System),
            ),
            ("/", None, None),
        ] {
            assert_eq!(
                linux::unit_of(cgroup),
                (unit.map(str::to_owned), manager),
                "{cgroup}"
            );
        }
    }
}
