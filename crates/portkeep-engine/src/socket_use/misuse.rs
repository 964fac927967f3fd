//! Wrong use of sockets by a program that does not become READY.

use std::fmt;

use portkeep_spec::Address;

use super::seen::{SocketUse, Taking};

/// Messages of programs about an address in use.
const IN_USE: [&str; 5] = [
    "ddress already in use",
    "AddrInUse",
    "EADDRINUSE",
    "os error 98",
    "Errno 98",
];

/// How a program uses its sockets instead of becoming ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misuse {
    /// It listens on addresses of its own, and does not use the passed sockets.
    BindsItself(Vec<Address>),
    /// It ended because an address is in use, usually that of a passed socket.
    PortInUse,
    /// It takes connections from the passed sockets, and does not say READY.
    NeverSaysReady,
    /// It takes no connections at all.
    TakesNone,
}

impl Misuse {
    /// The misuse by a program that is not ready in time.
    #[must_use]
    pub fn of(seen: &SocketUse) -> Self {
        if seen.takes_passed == Taking::Yes {
            return Self::NeverSaysReady;
        }
        match seen.binds_itself() {
            true => Self::BindsItself(seen.opened.iter().map(|one| one.address.clone()).collect()),
            false => Self::TakesNone,
        }
    }

    /// Whether it opens its port itself.
    #[must_use]
    pub fn binds_itself(&self) -> bool {
        matches!(self, Self::BindsItself(_) | Self::PortInUse)
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BindsItself(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "it listens at {}, which it opened itself, and takes no connection from the sockets that it was passed",
                    addresses.join(" and ")
                )
            }
            Self::PortInUse => f.write_str(
                "it could not listen at an address that is in use: it opens its port itself, and does not take the sockets that \
                 it was passed",
            ),
            Self::NeverSaysReady => f.write_str(
                "it takes connections and did not say READY=1 in time; \"readiness\": \"accepts\" in the spec does without",
            ),
            Self::TakesNone => f.write_str(
                "it did not say READY=1 in time and took no connection from the sockets that it was passed; is it still starting, or \
                 does it open its port itself?",
            ),
        }
    }
}

/// Whether a program that did not come up reports that its address is in use.
#[must_use]
pub fn says_in_use(line: &str) -> bool {
    IN_USE.iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket_use::Listening;

    #[test]
    fn what_is_seen_tells_what_is_wrong() {
        let opened = vec![Listening {
            inode: 1,
            address: Address::stream("127.0.0.1:3000").unwrap(),
        }];
        let seen = |passed, takes_passed, opened: &[Listening]| {
            Misuse::of(&SocketUse {
                passed,
                takes_passed,
                opened: opened.to_vec(),
            })
        };
        let itself = seen(1, Taking::No, &opened);
        assert!(itself.binds_itself() && itself.to_string().contains("127.0.0.1:3000"));
        assert_eq!(seen(1, Taking::Yes, &opened), Misuse::NeverSaysReady);
        assert_eq!(seen(1, Taking::No, &[]), Misuse::TakesNone);
        // It is unknown whether it takes them.
        assert_eq!(seen(1, Taking::Unknown, &opened), Misuse::TakesNone);
    }
}
