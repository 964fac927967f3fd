//! Decides which sockets exclude each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of its port that a socket occupies. Two sockets can be open beside each other if they share none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    v4: Part<Ipv4Addr>,
    v6: Part<Ipv6Addr>,
}

/// The occupied addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<A> {
    None,
    One(A),
    All,
}

/// Whether a socket on `[::]` takes IPv4 connections too (`IPV6_V6ONLY` is off).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stack {
    Both,
    Ipv6Only,
}

impl Reach {
    /// The addresses that a socket on this address occupies; `stack` matters for `[::]` alone.
    pub(super) fn of(ip: IpAddr, stack: Stack) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip),
            IpAddr::V6(ip) if ip.is_unspecified() => Self {
                v4: match stack {
                    Stack::Both => Part::All,
                    Stack::Ipv6Only => Part::None,
                },
                v6: Part::All,
            },
            // `::ffff:127.0.0.1` is an IPv4 address in IPv6 form.
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => Self::v4(ip),
                None => Self {
                    v4: Part::None,
                    v6: Part::One(ip),
                },
            },
        }
    }

    fn v4(ip: Ipv4Addr) -> Self {
        let v4 = if ip.is_unspecified() {
            Part::All
        } else {
            Part::One(ip)
        };
        Self { v4, v6: Part::None }
    }

    /// Whether one of them cannot be opened beside the other.
    pub(super) fn meets(self, other: Self) -> bool {
        self.v4.meets(other.v4) || self.v6.meets(other.v6)
    }
}

impl<A: PartialEq> Part<A> {
    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => false,
            (Self::One(one), Self::One(other)) => one == other,
            (Self::All, _) | (_, Self::All) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        let (text, stack) = match text.strip_suffix(" only") {
            Some(text) => (text, Stack::Ipv6Only),
            None => (text, Stack::Both),
        };
        Reach::of(text.parse().unwrap(), stack)
    }

    #[test]
    fn what_can_be_open_beside_what() {
        for (one, other, meets) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "0.0.0.0", true),
            ("0.0.0.0", "0.0.0.0", true),
            ("0.0.0.0", "::1", false),
            ("127.0.0.1", "::1", false),
            ("0.0.0.0", "::", true),
            ("0.0.0.0", ":: only", false),
            ("127.0.0.1", "::", true),
            ("127.0.0.1", ":: only", false),
            ("::1", "::1", true),
            ("::1", "fe80::1", false),
            ("::1", "::", true),
            ("::1", ":: only", true),
            ("::", ":: only", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "0.0.0.0", true),
            ("::ffff:127.0.0.1", "::", true),
            ("::ffff:127.0.0.1", ":: only", false),
            ("::ffff:0.0.0.0", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "::1", false),
        ] {
            assert_eq!(reach(one).meets(reach(other)), meets, "{one} and {other}");
            assert_eq!(reach(other).meets(reach(one)), meets, "{other} and {one}");
        }
    }
}
