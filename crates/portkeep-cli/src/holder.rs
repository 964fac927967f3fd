//! Who holds a port: process, command and unit.

use std::fmt;

use portkeep_spec::Address;

/// A process that listens on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its number; none where the kernel does not let us see it (another user's).
    pid: Option<i32>,
    command: String,
    /// The systemd unit it belongs to.
    unit: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} ({})", self.command)?,
            None => f.write_str("a process of another user")?,
        }
        if let Some(unit) = &self.unit {
            write!(f, " of the unit {unit}")?;
        }
        Ok(())
    }
}

impl Holder {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> String {
        match (self.pid, &self.unit) {
            (Some(1), _) => "systemd holds it for a socket unit: `systemctl list-sockets` names it; stop that unit, or use another \
                             address (--listen)".to_owned(),
            (Some(_), Some(unit)) if unit.ends_with(".service") => {
                format!("`systemctl stop {unit}` ends it (with --user if it is yours); or use another address (--listen)")
            }
            (Some(pid), _) => format!("`kill {pid}` ends it; or use another address (--listen)"),
            (None, _) => "`sudo ss -ltnp` names it; or use another address (--listen)".to_owned(),
        }
    }
}

/// Who listens on `address`; `None` if nobody does, or it cannot be told.
#[cfg(target_os = "linux")]
pub(crate) fn of(address: &Address) -> Option<Holder> {
    let inode = match address {
        Address::Tcp(wanted) => tcp_inode(*wanted)?,
        Address::UnixStream(path) | Address::UnixSeqpacket(path) => {
            procfs::net::unix()
                .ok()?
                .into_iter()
                .find(|entry| entry.path.as_ref() == Some(path))?
                .inode
        }
        _ => return None,
    };
    Some(process_with(inode).unwrap_or(Holder {
        pid: None,
        command: String::new(),
        unit: None,
    }))
}

/// Without /proc it cannot be told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_address: &Address) -> Option<Holder> {
    None
}

/// The listening socket that stands in the way of `wanted`: the same address, or any address with the same port.
#[cfg(target_os = "linux")]
fn tcp_inode(wanted: std::net::SocketAddr) -> Option<u64> {
    use procfs::net::TcpState;

    let entries = procfs::net::tcp()
        .unwrap_or_default()
        .into_iter()
        .chain(procfs::net::tcp6().unwrap_or_default());
    let in_the_way = |local: std::net::SocketAddr| {
        local.port() == wanted.port()
            && (local.ip() == wanted.ip()
                || local.ip().is_unspecified()
                || wanted.ip().is_unspecified())
    };
    entries
        .into_iter()
        .find(|entry| entry.state == TcpState::Listen && in_the_way(entry.local_address))
        .map(|entry| entry.inode)
}

#[cfg(target_os = "linux")]
fn process_with(inode: u64) -> Option<Holder> {
    use procfs::process::{FDTarget, all_processes};

    let holds = |process: &procfs::process::Process| {
        let descriptors = process.fd().ok()?;
        descriptors
            .flatten()
            .any(|descriptor| matches!(descriptor.target, FDTarget::Socket(held) if held == inode))
            .then_some(())
    };
    // Several may hold it: the one with the smallest number passed it to the others.
    let process = all_processes()
        .ok()?
        .flatten()
        .filter(|process| holds(process).is_some())
        .min_by_key(|one| one.pid)?;
    let command = process.cmdline().unwrap_or_default().join(" ");
    let cgroups = process.cgroups().ok();
    let unit = cgroups.and_then(|groups| {
        let path = groups
            .into_iter()
            .find(|group| group.hierarchy == 0)?
            .pathname;
        path.rsplit('/')
            .find(|part| part.ends_with(".service") || part.ends_with(".scope"))
            .map(str::to_owned)
    });
    Some(Holder {
        pid: Some(process.pid),
        command,
        unit,
    })
}
