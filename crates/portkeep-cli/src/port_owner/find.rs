//! Finds the owners of listening sockets in /proc. Without /proc nothing is known.

use std::net::SocketAddr;

use portkeep_spec::Address;

use super::{PortOwner, Wanted};

/// Sockets that conflict with an address.
#[derive(Debug, Default)]
pub(crate) struct PortConflict {
    /// The addresses that they listen on; none for Unix sockets, whose path is the requested one.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Their processes, smallest number first.
    pub(crate) owners: Vec<PortOwner>,
}

/// The first owner of a socket that conflicts with `address`; `None` if there is none, or it is unknown. If several
/// processes own it, the one with the smallest number passed it to the others.
pub(crate) fn of(address: &Address) -> Option<PortOwner> {
    all(&address.into()).owners.into_iter().next()
}

/// Whether anybody listens on a conflicting address; `None` if that is unknown.
pub(crate) fn listening_at(address: &Address) -> Option<bool> {
    is_held(&address.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn all(_wanted: &Wanted) -> PortConflict {
    PortConflict::default()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_held(_wanted: &Wanted) -> Option<bool> {
    None
}

/// No owner was found that could be asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_to_stop(_pid: i32, _wanted: &Wanted) -> std::io::Result<Asked> {
    Ok(Asked::HadLetGo)
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{all, ask_to_stop, is_held};

/// Result of the request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The signal was sent to the process.
    Signalled,
    /// The process has ended, or has closed the socket: it was left alone.
    HadLetGo,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashSet;
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use jiff::{SignedDuration, Timestamp};
    use portkeep_spec::{Address, Manager as Which};
    use procfs::net::{TcpState, UnixState};
    use procfs::process::{FDTarget, Process, all_processes};
    use rustix::io::Errno;
    use rustix::net::SocketType;
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::super::reach::{Reach, Stack};
    use super::super::trial;
    use super::{Asked, PortConflict, PortOwner, Wanted};

    /// A listening socket, as the kernel lists it.
    struct Listening {
        inode: u64,
        uid: Option<u32>,
        /// None for Unix sockets.
        local: Option<SocketAddr>,
    }

    /// All owners of conflicting sockets.
    pub(crate) fn all(wanted: &Wanted) -> PortConflict {
        let sockets = sockets(wanted).unwrap_or_default();
        let Some(first) = sockets.first() else {
            return PortConflict::default();
        };
        let mut owners = processes_with(&inodes(&sockets));
        if owners.is_empty() {
            owners.push(PortOwner {
                pid: None,
                uid: first.uid,
                command: String::new(),
                unit: None,
                manager: None,
                since: None,
            });
        }
        PortConflict {
            addresses: sockets.iter().filter_map(|one| one.local).collect(),
            owners,
        }
    }

    /// Whether there is an owner; `None` if that is unknown.
    pub(crate) fn is_held(wanted: &Wanted) -> Option<bool> {
        sockets(wanted).map(|sockets| !sockets.is_empty())
    }

    /// Sends SIGTERM to an owner, if it still owns the socket.
    ///
    /// # Errors
    /// When the process may not be signalled, or the kernel has no pidfds (before 5.3).
    pub(crate) fn ask_to_stop(pid: i32, wanted: &Wanted) -> io::Result<Asked> {
        let Some(number) = Pid::from_raw(pid) else {
            return Ok(Asked::HadLetGo);
        };
        // The pidfd names this process even when another one gets its number. So it is opened first, and checked then.
        let named = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(named) => named,
            Err(Errno::SRCH) => return Ok(Asked::HadLetGo),
            Err(error) => return Err(error.into()),
        };
        let in_the_way = inodes(&sockets(wanted).unwrap_or_default());
        if !Process::new(pid).is_ok_and(|process| holds(&process, &in_the_way)) {
            return Ok(Asked::HadLetGo);
        }
        match pidfd_send_signal(&named, Signal::TERM) {
            Ok(()) => Ok(Asked::Signalled),
            // It ended meanwhile, which was the goal.
            Err(Errno::SRCH) => Ok(Asked::HadLetGo),
            Err(error) => Err(error.into()),
        }
    }

    fn inodes(sockets: &[Listening]) -> HashSet<u64> {
        sockets.iter().map(|one| one.inode).collect()
    }

    fn sockets(wanted: &Wanted) -> Option<Vec<Listening>> {
        let (address, port, kind) = match wanted {
            Wanted::Address(Address::Tcp(wanted)) => {
                (Some(*wanted), wanted.port(), SocketType::STREAM)
            }
            Wanted::Address(Address::Udp(wanted)) => {
                (Some(*wanted), wanted.port(), SocketType::DGRAM)
            }
            Wanted::TcpPort(port) => (None, *port, SocketType::STREAM),
            Wanted::UdpPort(port) => (None, *port, SocketType::DGRAM),
            Wanted::Address(other) => return unix_sockets(other),
        };
        let mut found = if kind == SocketType::STREAM {
            tcp_sockets()?
        } else {
            udp_sockets()?
        };
        found.retain(|one| one.local.is_some_and(|local| local.port() == port));
        let Some(address) = address else {
            return Some(found);
        };
        let v4: Vec<Ipv4Addr> = found
            .iter()
            .filter_map(|one| match one.local?.ip() {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(ip) => ip.to_ipv4_mapped(),
            })
            .collect();
        let wanted = Reach::of(address.ip(), Stack::Both);
        found.retain(|one| {
            one.local.is_some_and(|local| {
                let is_all = matches!(local.ip(), IpAddr::V6(ip) if ip.is_unspecified());
                // Where it makes a difference.
                let stack = if is_all && address.is_ipv4() {
                    trial::stack(port, kind, &v4)
                } else {
                    Stack::Both
                };
                wanted.meets(Reach::of(local.ip(), stack))
            })
        });
        // A socket that is bound to another interface looks like any other in /proc.
        if !found.is_empty() && trial::can_be_bound(address, kind) == Some(true) {
            found.clear();
        }
        Some(found)
    }

    fn tcp_sockets() -> Option<Vec<Listening>> {
        let entries = procfs::net::tcp().ok()?.into_iter();
        let entries = entries.chain(procfs::net::tcp6().unwrap_or_default());
        Some(
            entries
                .filter(|entry| entry.state == TcpState::Listen)
                .map(|entry| Listening {
                    inode: entry.inode,
                    uid: Some(entry.uid),
                    local: Some(entry.local_address),
                })
                .collect(),
        )
    }

    fn udp_sockets() -> Option<Vec<Listening>> {
        let entries = procfs::net::udp().ok()?.into_iter();
        let entries = entries.chain(procfs::net::udp6().unwrap_or_default());
        Some(
            entries
                .map(|entry| Listening {
                    inode: entry.inode,
                    uid: Some(entry.uid),
                    local: Some(entry.local_address),
                })
                .collect(),
        )
    }

    fn unix_sockets(address: &Address) -> Option<Vec<Listening>> {
        let path = address.path()?;
        let entries = procfs::net::unix().ok()?;
        Some(
            entries
                .into_iter()
                .filter(|entry| entry.path.as_deref() == Some(path))
                // An accepted connection has the path, too, but is connected.
                .filter(|entry| entry.state != UnixState::CONNECTED)
                .map(|entry| Listening {
                    inode: entry.inode,
                    uid: None,
                    local: None,
                })
                .collect(),
        )
    }

    fn processes_with(inodes: &HashSet<u64>) -> Vec<PortOwner> {
        let Ok(processes) = all_processes() else {
            return Vec::new();
        };
        let mut owners: Vec<_> = processes
            .flatten()
            .filter(|process| holds(process, inodes))
            .map(|process| owner(&process))
            .collect();
        owners.sort_unstable_by_key(|owner| owner.pid);
        owners
    }

    fn holds(process: &Process, inodes: &HashSet<u64>) -> bool {
        let Ok(mut descriptors) = process.fd() else {
            return false;
        };
        descriptors.any(|descriptor| {
            matches!(descriptor, Ok(one) if matches!(one.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
        })
    }

    fn owner(process: &Process) -> PortOwner {
        let cgroup = process.cgroups().ok().and_then(|groups| {
            let group = groups.into_iter().find(|group| group.hierarchy == 0)?;
            Some(group.pathname)
        });
        let (unit, manager) = cgroup.as_deref().map_or((None, None), unit_of);
        PortOwner {
            pid: Some(process.pid),
            uid: process.uid().ok(),
            command: process.cmdline().unwrap_or_default().join(" "),
            unit,
            manager,
            since: since(process),
        }
    }

    /// The innermost unit of a control group, and its manager.
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::OwnedFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use portkeep_spec::Manager as Which;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    use rustix::process::Signal;

    use super::*;

    fn me() -> Option<i32> {
        i32::try_from(std::process::id()).ok()
    }

    fn listen(family: AddressFamily, address: SocketAddr, only_v6: bool) -> OwnedFd {
        // Otherwise processes that other tests start at the same time would inherit it.
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).unwrap();
        if family == AddressFamily::INET6 {
            sockopt::set_ipv6_v6only(&socket, only_v6).unwrap();
        }
        rustix::net::bind(&socket, &address).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        socket
    }

    fn port_of(socket: &OwnedFd) -> u16 {
        let address = rustix::net::getsockname(socket).unwrap();
        SocketAddr::try_from(address).unwrap().port()
    }

    /// The kernel agrees: exactly the named owners have to go.
    #[test]
    fn who_listens_beside_is_not_in_the_way() {
        for (listens, only_v6, wanted, held) in [
            ("0.0.0.0", false, "[::1]", false),
            ("127.0.0.1", false, "[::1]", false),
            ("[::1]", false, "0.0.0.0", false),
            ("[::1]", false, "127.0.0.1", false),
            ("[::]", true, "127.0.0.1", false),
            ("[::]", true, "0.0.0.0", false),
            ("127.0.0.1", false, "127.0.0.2", false),
            ("0.0.0.0", false, "127.0.0.1", true),
            ("127.0.0.1", false, "0.0.0.0", true),
            ("[::]", false, "127.0.0.1", true),
            ("[::]", false, "0.0.0.0", true),
            ("[::]", true, "[::1]", true),
            ("0.0.0.0", false, "[::]", true),
        ] {
            let address: SocketAddr = format!("{listens}:0").parse().unwrap();
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let (socket, wanted) = (0..10)
                .map(|_| {
                    let socket = listen(family, address, only_v6);
                    let wanted = format!("{wanted}:{}", port_of(&socket));
                    (socket, Address::stream(&wanted).unwrap())
                })
                // A connection of somebody else may have the other address of that port.
                .find(|(_, wanted)| TcpListener::bind(wanted.ip().unwrap()).is_err() == held)
                .expect("the kernel agrees");
            let port = port_of(&socket);
            let why = format!("{listens} (only IPv6: {only_v6}) and {wanted}");
            assert_eq!(listening_at(&wanted), Some(held), "{why}");
            let named = of(&wanted).and_then(|owner| owner.pid);
            assert_eq!(named, held.then(me).flatten(), "{why}");
            assert_eq!(is_held(&Wanted::TcpPort(port)), Some(true), "{why}");
        }
    }

    #[test]
    fn of_several_only_those_in_the_way_are_named() {
        let v6: SocketAddr = "[::]:0".parse().unwrap();
        let all_v6 = listen(AddressFamily::INET6, v6, true);
        let port = port_of(&all_v6);
        let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let loopback = listen(AddressFamily::INET, v4, false);
        let wanted = Wanted::Address(Address::Tcp(v4));
        assert_eq!(all(&wanted).addresses, [v4]);
        drop(loopback);
        assert_eq!(all(&wanted).addresses, []);
        let both = Wanted::TcpPort(port);
        assert_eq!(all(&both).addresses, [SocketAddr::new(v6.ip(), port)]);
    }

    #[test]
    fn only_a_process_that_still_has_the_socket_is_signalled() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = Wanted::Address(Address::Tcp(listener.local_addr().unwrap()));
        // A process that got the number of an earlier owner.
        let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
        let number = i32::try_from(bystander.id()).unwrap();
        assert_eq!(ask_to_stop(number, &wanted).unwrap(), Asked::HadLetGo);
        assert_eq!(bystander.try_wait().unwrap(), None);

        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let mut owner = Command::new("sleep").arg("60").spawn().unwrap();
        let number = i32::try_from(owner.id()).unwrap();
        assert_eq!(ask_to_stop(number, &wanted).unwrap(), Asked::Signalled);
        let status = owner.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
        assert_eq!(ask_to_stop(number, &wanted).unwrap(), Asked::HadLetGo);
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }

    #[test]
    fn this_process_is_found_by_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let owner = of(&address).unwrap();
        assert_eq!(owner.pid, me());
        let age = jiff::Timestamp::now().duration_since(owner.since.unwrap());
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
