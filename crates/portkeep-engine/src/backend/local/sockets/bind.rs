//! Opens one listening socket as systemd opens that of a socket unit.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::unistd::{Group, User};
use portkeep_spec::{Address, Listen, SocketMode, is_ipv6_only};
use rustix::fs::{AtFlags, Gid, Mode, Uid, chmod, chownat, fchmod};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Never blocking, as in the units: the flag belongs to the socket and not to a process, so that a new generation that
/// changed it would make the old one block.
pub(super) fn bind(one: &Listen, all: &[Listen]) -> io::Result<Socket> {
    let socket = match &one.address {
        Address::Tcp(address) => inet(one, *address, Type::STREAM, Protocol::TCP, all)?,
        Address::Udp(address) => inet(one, *address, Type::DGRAM, Protocol::UDP, all)?,
        Address::UnixStream(path) => unix(one, path, Type::STREAM)?,
        Address::UnixDatagram(path) => unix(one, path, Type::DGRAM)?,
        Address::UnixSeqpacket(path) => unix(one, path, Type::SEQPACKET)?,
        other => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{other} is not supported here"),
            ));
        }
    };
    if one.address.is_connected() {
        socket.listen(i32::try_from(one.backlog).unwrap_or(i32::MAX))?;
    }
    Ok(socket)
}

fn inet(
    one: &Listen,
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    all: &[Listen],
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    // As systemd does: an address in TIME_WAIT can be listened on.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Some(only) = is_ipv6_only(&one.address, all) {
        socket.set_only_v6(only)?;
    }
    if one.binds_freely() {
        bind_freely(&socket, address)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn bind_freely(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    use rustix::net::sockopt::{set_ip_freebind, set_ipv6_freebind};

    match address {
        SocketAddr::V4(_) => set_ip_freebind(socket, true)?,
        SocketAddr::V6(_) => set_ipv6_freebind(socket, true)?,
    }
    Ok(())
}

/// This system has nothing like it.
#[cfg(not(target_os = "linux"))]
fn bind_freely(_socket: &Socket, _address: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// The file belongs to its user from the first moment, and is given to others before anybody is accepted.
fn unix(one: &Listen, path: &Path, kind: Type) -> io::Result<Socket> {
    let owner = owner(one)?;
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    close_to_others(&socket, SocketMode::USER)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let shared = give(path, owner, one.mode());
    shared.inspect_err(|_| {
        // Nobody may use a file with the wrong owner.
        let _ = fs::remove_file(path);
    })?;
    Ok(socket)
}

/// Sets the permissions that a socket's file will have, before there is a file, as far as the umask allows.
pub(super) fn close_to_others(socket: &Socket, mode: SocketMode) -> io::Result<()> {
    match fchmod(socket, Mode::from_raw_mode(mode.bits() as _)) {
        // Linux copies them from the socket; elsewhere a socket has none.
        Err(_) if cfg!(not(target_os = "linux")) => Ok(()),
        set => Ok(set?),
    }
}

type Owner = (Option<Uid>, Option<Gid>);

/// By name or by number, as in systemd.
fn owner(one: &Listen) -> io::Result<Owner> {
    let id = |kind: &str, name: &str, named: &dyn Fn(&str) -> nix::Result<Option<u32>>| {
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        named(name)?.ok_or_else(|| {
            let problem = format!("this machine has no {kind} {name:?}");
            io::Error::new(io::ErrorKind::NotFound, problem)
        })
    };
    let user = |name: &str| Ok(User::from_name(name)?.map(|user| user.uid.as_raw()));
    let group = |name: &str| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()));
    let uid = one.user.as_deref().map(|name| id("user", name, &user));
    let gid = one.group.as_deref().map(|name| id("group", name, &group));
    Ok((
        uid.transpose()?.map(Uid::from_raw),
        gid.transpose()?.map(Gid::from_raw),
    ))
}

/// By the file itself and not by its path, which somebody else could have replaced meanwhile.
#[cfg(target_os = "linux")]
fn give(path: &Path, (user, group): Owner, mode: SocketMode) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{OFlags, open};

    let file = open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if user.is_some() || group.is_some() {
        chownat(&file, "", user, group, AtFlags::EMPTY_PATH).map_err(|error| {
            let problem =
                format!("its file cannot be given to the user and group of the spec: {error}");
            io::Error::new(io::Error::from(error).kind(), problem)
        })?;
    }
    let file = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(chmod(file, Mode::from_raw_mode(mode.bits()))?)
}

#[cfg(not(target_os = "linux"))]
fn give(path: &Path, (user, group): Owner, mode: SocketMode) -> io::Result<()> {
    if user.is_some() || group.is_some() {
        chownat(
            rustix::fs::CWD,
            path,
            user,
            group,
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
    }
    Ok(chmod(path, Mode::from_raw_mode(mode.bits() as _))?)
}

/// Removes the file of a Unix socket without a listener.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is no socket is there",
        )),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use portkeep_spec::SocketName;

    use super::*;

    fn listen(address: &str) -> Listen {
        Listen::new(SocketName::http(), Address::stream(address).unwrap())
    }

    fn free_port() -> u16 {
        let listener = TcpListener::bind("[::]:0").unwrap();
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn an_address_may_come_later() {
        // Addresses for documentation, which no machine has.
        for address in ["192.0.2.1", "[2001:db8::1]"] {
            let mut later = listen(&format!("{address}:{}", free_port()));
            bind(&later, &[]).unwrap();
            later.free_bind = Some(false);
            let error = bind(&later, &[]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{address}");
        }
    }

    #[test]
    fn ipv4_and_ipv6_have_a_socket_each() {
        let port = free_port();
        for order in [["0.0.0.0", "[::]"], ["[::]", "0.0.0.0"]] {
            let all = order.map(|address| listen(&format!("{address}:{port}")));
            let [first, second] = all.each_ref().map(|one| bind(one, &all).unwrap());
            let v4 = if order[0] == "0.0.0.0" {
                &first
            } else {
                &second
            };
            let v6 = if order[0] == "0.0.0.0" {
                &second
            } else {
                &first
            };
            for (client, socket) in [("127.0.0.1", v4), ("[::1]", v6)] {
                let _client = TcpStream::connect(format!("{client}:{port}")).unwrap();
                socket.accept().unwrap();
            }
        }
    }

    #[test]
    fn every_address_takes_ipv4_as_well() {
        let port = free_port();
        let all = [listen(&format!("[::]:{port}"))];
        let socket = bind(&all[0], &all).unwrap();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.accept().unwrap();
    }

    #[test]
    fn who_may_connect() {
        let directory = tempfile::tempdir().unwrap();
        let own = Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
        for kind in [
            Address::UnixStream,
            Address::UnixDatagram,
            Address::UnixSeqpacket,
        ] {
            let path = directory.path().join("socket");
            let permissions = |change: &dyn Fn(&mut Listen)| {
                let mut one = Listen::new(SocketName::http(), kind(path.clone()));
                change(&mut one);
                let _socket = bind(&one, &[]).unwrap();
                let metadata = fs::symlink_metadata(&path).unwrap();
                fs::remove_file(&path).unwrap();
                assert_eq!(metadata.gid(), own.gid.as_raw());
                metadata.permissions().mode() & 0o7777
            };
            assert_eq!(permissions(&|_| {}), 0o600);
            assert_eq!(
                permissions(&|one| one.mode = Some("0666".parse().unwrap())),
                0o666
            );
            assert_eq!(
                permissions(&|one| one.group = Some(own.name.clone())),
                0o660
            );
            let number = own.gid.to_string();
            assert_eq!(permissions(&|one| one.group = Some(number.clone())), 0o660);
        }
    }

    #[test]
    fn a_user_that_there_is_not_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let mut one = Listen::new(SocketName::http(), Address::UnixStream(path.clone()));
        one.user = Some("no-such-user".into());
        let error = bind(&one, &[]).unwrap_err().to_string();
        assert!(error.contains("no-such-user"), "{error}");
        assert!(!path.exists());
    }
}
