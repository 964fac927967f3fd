//! Listening sockets, from the kernel's tables.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use portkeep_spec::Address;

use super::seen::Listening;

/// All listening sockets in the network of a process.
pub(super) fn listening(process: &Path) -> Vec<Listening> {
    let table = |name: &str| process.join("net").join(name);
    let mut found = Vec::new();
    for tcp in ["tcp", "tcp6"] {
        found.extend(File::open(table(tcp)).map_or_else(|_| Vec::new(), all_listening_tcp));
    }
    let unix = fs::read_to_string(table("unix")).unwrap_or_default();
    found.extend(unix.lines().filter_map(listening_unix));
    found
}

/// The kernel lists those that listen before all others (`tcp_get_idx`), and no more of its table is read: it has every
/// connection of the machine, which may be a hundred thousand.
fn all_listening_tcp(table: impl std::io::Read) -> Vec<Listening> {
    let lines = BufReader::new(table).lines().map_while(Result::ok);
    lines
        .skip(1)
        .map_while(|line| listening_tcp(&line))
        .collect()
}

pub(super) fn listening_tcp(line: &str) -> Option<Listening> {
    let words: Vec<_> = line.split_whitespace().collect();
    // The state is the fourth word; 0A means listening.
    if words.get(3) != Some(&"0A") {
        return None;
    }
    Some(Listening {
        inode: words.get(9)?.parse().ok()?,
        address: Address::Tcp(socket_address(words.get(1)?)?),
    })
}

pub(super) fn listening_unix(line: &str) -> Option<Listening> {
    let words: Vec<_> = line.split_whitespace().collect();
    // The flags are the fourth word, the type the fifth, the inode the seventh; an unnamed socket has no path.
    if words.get(3) != Some(&"00010000") {
        return None;
    }
    let path = words[7.min(words.len())..].join(" ").into();
    Some(Listening {
        inode: words.get(6)?.parse().ok()?,
        address: match *words.get(4)? {
            "0005" => Address::UnixSeqpacket(path),
            _ => Address::UnixStream(path),
        },
    })
}

/// `0100007F:1F90`: words of four bytes, each in the machine's order, and the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(8 * at..8 * at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            bytes.copy_from_slice(words.as_flattened());
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// The rest of a table, which nobody is to read.
    struct Rest;

    impl Read for Rest {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("connections are read")
        }
    }

    #[test]
    fn connections_are_not_read() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 11 1 0 100 0 0 10 0\n\
             1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 12 1 0 100 0 0 10 0\n\
             2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  0 0 13 1 0 20 4 30 10 -1\n";
        let found = all_listening_tcp(head.as_bytes().chain(Rest));
        let inodes: Vec<_> = found.iter().map(|one| one.inode).collect();
        assert_eq!(inodes, [11, 12]);
    }

    #[test]
    fn a_listener_is_found_beside_many_connections() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections: Vec<_> = (0..200)
            .map(|_| {
                let one = std::net::TcpStream::connect(address).unwrap();
                (one, listener.accept().unwrap())
            })
            .collect();
        let later = std::net::TcpListener::bind("[::1]:0").unwrap();
        let found = listening(Path::new("/proc/self"));
        for address in [address, later.local_addr().unwrap()] {
            let address = Address::Tcp(address);
            assert!(found.iter().any(|one| one.address == address));
        }
        drop(connections);
    }
}
