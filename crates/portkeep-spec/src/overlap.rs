//! Sockets of a spec that would take each other's port.

use std::net::{IpAddr, SocketAddr};

use crate::{Address, Listen};

/// Two TCP sockets of which the kernel opens one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// The same address, in one way of writing or the other.
    Same,
    /// One of them takes every IPv4 address.
    EveryIpv4,
    /// One of them takes every IPv6 address.
    EveryIpv6,
    /// One of them is `[::]`, which takes every address, those of IPv4 as well.
    EveryAddress,
}

/// Whether a socket on `[::]` leaves IPv4 to another one: where `all` has `0.0.0.0` with the same port as well. `None` for
/// any other address, where the question does not arise.
#[must_use]
pub fn is_ipv6_only(one: &Address, all: &[Listen]) -> Option<bool> {
    let address = one
        .ip()
        .filter(|address| is_every(*address) && is_v6(*address))?;
    let is_sibling = |other: &Listen| {
        let other_address = other.address.ip();
        other.address.is_connected() == one.is_connected()
            && other_address.is_some_and(|other| {
                other.port() == address.port() && is_every(other) && !is_v6(other)
            })
    };
    Some(all.iter().any(is_sibling))
}

/// Why the kernel would refuse one of two TCP sockets. The more specific one of two UDP sockets gets the datagrams: there
/// nothing overlaps.
pub(crate) fn overlap(one: &Address, other: &Address, all: &[Listen]) -> Option<Overlap> {
    let (Address::Tcp(first), Address::Tcp(second)) = (one, other) else {
        return None;
    };
    if first.port() != second.port() {
        return None;
    }
    if ip(*first) == ip(*second) {
        return Some(Overlap::Same);
    }
    [(one, *first, *second), (other, *second, *first)]
        .into_iter()
        .filter(|(_, every, _)| is_every(*every))
        .find_map(|(address, every, one)| match (is_v6(every), is_v6(one)) {
            (false, false) => Some(Overlap::EveryIpv4),
            (true, true) => Some(Overlap::EveryIpv6),
            (true, false) => {
                (is_ipv6_only(address, all) == Some(false)).then_some(Overlap::EveryAddress)
            }
            (false, true) => None,
        })
}

/// Whether the sockets of two apps cannot be open beside each other: `one` is of an app that listens on `ones`, `other` of one
/// that listens on `others`.
#[must_use]
pub fn collide(one: &Address, ones: &[Listen], other: &Address, others: &[Listen]) -> bool {
    match (one, other) {
        (Address::Udp(first), Address::Udp(second)) => first == second,
        (Address::Tcp(first), Address::Tcp(second)) => {
            let takes_all =
                |address: &Address, all: &[Listen]| is_ipv6_only(address, all) == Some(false);
            let meets = |every: &Address, all: &[Listen], every_ip: SocketAddr, ip_: SocketAddr| {
                is_every(every_ip) && (is_v6(every_ip) == is_v6(ip_) || takes_all(every, all))
            };
            first.port() == second.port()
                && (ip(*first) == ip(*second)
                    || meets(one, ones, *first, *second)
                    || meets(other, others, *second, *first))
        }
        _ => one.path().is_some() && one.path() == other.path(),
    }
}

/// The address as the kernel sees it: `[::ffff:127.0.0.1]` is `127.0.0.1`.
fn ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn is_v6(address: SocketAddr) -> bool {
    ip(address).is_ipv6()
}

fn is_every(address: SocketAddr) -> bool {
    ip(address).is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_that_cannot_be_open_beside_each_other() {
        for (ones, others, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80 0.0.0.0:81", "127.0.0.1:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("udp=127.0.0.1:80", "127.0.0.1:80", false),
            ("udp=127.0.0.1:80", "udp=127.0.0.1:80", true),
            ("udp=127.0.0.1:80", "udp=0.0.0.0:80", false),
            ("/run/a", "/run/a", true),
            ("/run/a", "/run/b", false),
        ] {
            let list = |text: &str| -> Vec<Listen> {
                let text: Vec<_> = text.split(' ').map(|one| one.replace('=', " ")).collect();
                listens(&text.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let (ones_listen, others_listen) = (list(ones), list(others));
            let (one, other) = (&ones_listen[0].address, &others_listen[0].address);
            let found = [
                collide(one, &ones_listen, other, &others_listen),
                collide(other, &others_listen, one, &ones_listen),
            ];
            assert_eq!(found, [expected; 2], "{ones} and {others}");
        }
        // `[::]` leaves IPv4 to the socket of its own app.
        let both = listens(&["[::]:80", "0.0.0.0:80"]);
        let other = listens(&["127.0.0.1:80"]);
        assert!(!collide(&both[0].address, &both, &other[0].address, &other));
        assert!(collide(&both[1].address, &both, &other[0].address, &other));
    }

    fn listens(texts: &[&str]) -> Vec<Listen> {
        let listen = |text: &&str| {
            let (kind, text) = text.split_once(' ').unwrap_or(("tcp", text));
            let address = match kind {
                "udp" => Address::datagram(text),
                _ => Address::stream(text),
            };
            Listen::new(crate::SocketName::http(), address.unwrap())
        };
        texts.iter().map(listen).collect()
    }

    #[test]
    fn every_ipv6_address_leaves_ipv4_to_a_sibling_only() {
        for (all, expected) in [
            (&["[::]:80"][..], Some(false)),
            (&["[::]:80", "0.0.0.0:80"], Some(true)),
            (&["[::]:80", "0.0.0.0:81"], Some(false)),
            (&["[::]:80", "127.0.0.1:80"], Some(false)),
            (&["[::]:80", "udp 0.0.0.0:80"], Some(false)),
            (&["udp [::]:80", "udp 0.0.0.0:80"], Some(true)),
            (&["[::]:80", "/run/a"], Some(false)),
            (&["0.0.0.0:80", "[::]:80"], None),
            (&["[::1]:80", "0.0.0.0:80"], None),
            (&["/run/a"], None),
        ] {
            let all = listens(all);
            assert_eq!(is_ipv6_only(&all[0].address, &all), expected, "{all:?}");
        }
    }

    #[test]
    fn what_the_kernel_refuses() {
        for (one, other, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80", Some(Overlap::EveryIpv4)),
            ("[::]:80", "[::1]:80", Some(Overlap::EveryIpv6)),
            ("[::]:80", "127.0.0.1:80", Some(Overlap::EveryAddress)),
            (
                "[::]:80",
                "[::ffff:127.0.0.1]:80",
                Some(Overlap::EveryAddress),
            ),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", Some(Overlap::Same)),
            ("[::]:80", "0.0.0.0:80", None),
            ("0.0.0.0:80", "[::1]:80", None),
            ("127.0.0.1:80", "127.0.0.2:80", None),
            ("127.0.0.1:80", "[::1]:80", None),
            ("0.0.0.0:80", "127.0.0.1:81", None),
            ("0.0.0.0:80", "udp 127.0.0.1:80", None),
            ("udp 0.0.0.0:80", "udp 127.0.0.1:80", None),
            ("/run/a", "/run/b", None),
        ] {
            for pair in [[one, other], [other, one]] {
                let all = listens(&pair);
                assert_eq!(
                    overlap(&all[0].address, &all[1].address, &all),
                    expected,
                    "{pair:?}"
                );
            }
        }
        let three = listens(&["[::]:80", "0.0.0.0:80", "127.0.0.1:80"]);
        let of =
            |one: usize, other: usize| overlap(&three[one].address, &three[other].address, &three);
        assert_eq!((of(0, 2), of(1, 2)), (None, Some(Overlap::EveryIpv4)));
    }
}
