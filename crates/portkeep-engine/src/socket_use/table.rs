//! Listening sockets, from the kernel's tables.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use portkeep_spec::Address;

use super::seen::Listening;

/// All listening sockets in the network of a process.
pub(super) fn listening(process: &Path) -> Vec<Listening> {
    let table = |name: &str| fs::read_to_string(process.join("net").join(name)).unwrap_or_default();
    let mut found = Vec::new();
    for tcp in ["tcp", "tcp6"] {
        found.extend(table(tcp).lines().filter_map(listening_tcp));
    }
    found.extend(table("unix").lines().filter_map(listening_unix));
    found
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
