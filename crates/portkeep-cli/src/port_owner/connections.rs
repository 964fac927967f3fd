//! Number of connections to the sockets of an app, as the kernel counts them.

/// How many are connected to these; nobody where that cannot be told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open_at(_listens: &[portkeep_spec::Listen]) -> usize {
    0
}

#[cfg(target_os = "linux")]
pub(crate) use linux::open_at;

#[cfg(target_os = "linux")]
mod linux {
    use std::net::SocketAddr;

    use portkeep_spec::{Address, Listen};
    use procfs::net::{TcpState, UnixState};

    /// How many are connected to these; nobody where that cannot be told.
    pub(crate) fn open_at(listens: &[Listen]) -> usize {
        let tcp = procfs::net::tcp().unwrap_or_default().into_iter();
        let tcp = tcp.chain(procfs::net::tcp6().unwrap_or_default());
        // One that this side has ended only waits for the other side's last word.
        let is_open =
            |state: &TcpState| matches!(state, TcpState::Established | TcpState::CloseWait);
        let tcp = tcp
            .filter(|entry| is_open(&entry.state))
            .filter(|entry| is_of_one(listens, entry.local_address))
            .count();
        let unix = procfs::net::unix().unwrap_or_default().into_iter();
        let unix = unix.filter(|entry| {
            let path = entry.path.as_deref();
            let is_one =
                |listen: &Listen| listen.address.path().is_some_and(|one| path == Some(one));
            entry.state == UnixState::CONNECTED && listens.iter().any(is_one)
        });
        tcp + unix.count()
    }

    /// Whether a connection with this end was accepted by one of them.
    pub(super) fn is_of_one(listens: &[Listen], local: SocketAddr) -> bool {
        listens.iter().any(|listen| {
            let Address::Tcp(address) = listen.address else {
                return false;
            };
            let (one, other) = (address.ip().to_canonical(), local.ip().to_canonical());
            let is_every = one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
            address.port() == local.port() && (one == other || is_every)
        })
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use portkeep_spec::{Address, Listen, SocketName};

    use super::*;

    fn listen(address: &str) -> Listen {
        Listen::new(SocketName::http(), Address::stream(address).unwrap())
    }

    #[test]
    fn those_of_the_app_are_counted_and_no_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listens = [listen(&address.to_string())];
        assert_eq!(open_at(&listens), 0);
        let client = TcpStream::connect(address).unwrap();
        // It waits in the queue, and is to be answered.
        assert_eq!(open_at(&listens), 1);
        let (server, _) = listener.accept().unwrap();
        assert_eq!(open_at(&listens), 1);
        drop((client, server));
        assert_eq!(open_at(&listens), 0);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let listens = [listen(path.to_str().unwrap())];
        assert_eq!(open_at(&listens), 0);
        let client = UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(open_at(&listens), 1);
        drop((client, server));
        assert_eq!(open_at(&listens), 0);
    }

    #[test]
    fn an_address_stands_for_all_that_it_takes() {
        for (address, local, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "10.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::ffff:10.0.0.1]:80", true),
            ("[::]:80", "[::1]:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
        ] {
            let found = super::linux::is_of_one(&[listen(address)], local.parse().unwrap());
            assert_eq!(found, expected, "{address} {local}");
        }
    }
}
