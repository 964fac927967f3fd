//! State of a TLS connection as bytes. Pure.
//!
//! The export of s2n-tls has a version of its own and no checksum. Around it is what s2n-tls does not export and the other
//! generation needs: the terms of the connection, and the facts for handlers.

use std::io;

use zeroize::Zeroizing;

use crate::session::Facts;
use crate::settings::{ClientCertificates, Settings};

/// Terms of a connection. A generation takes only connections on its own terms, because s2n-tls checks neither the cipher
/// suite nor the client of an imported connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    policy: String,
    clients: Clients,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    NotAsked,
    /// The number identifies the authorities.
    Optional(u64),
    Required(u64),
}

/// Everything that moves with a connection, except for its socket and unread bytes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) terms: Terms,
    /// Whether keys can be updated.
    pub(crate) tls13: bool,
    pub(crate) facts: Option<Facts>,
    pub(crate) exported: Exported,
}

/// The export of s2n-tls.
pub(crate) struct Exported(pub(crate) Zeroizing<Vec<u8>>);

/// Without its bytes.
impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exported")
    }
}

/// The first bytes, with the version of this layout.
const MAGIC: &[u8; 8] = b"pk-s2n\0\x01";
/// Length of the magic, the clients' rule, flags, the number of the authorities, and the length of the rest.
const HEAD: usize = 8 + 1 + 1 + 8 + 4;

impl Terms {
    pub(crate) fn new(settings: &Settings, authorities: Option<&[u8]>) -> Self {
        let number = authorities.map_or(0, fingerprint);
        Self {
            policy: settings.policy.clone(),
            clients: match settings.clients {
                None => Clients::NotAsked,
                Some(ClientCertificates::Optional(_)) => Clients::Optional(number),
                Some(ClientCertificates::Required(_)) => Clients::Required(number),
            },
        }
    }
}

/// FNV-1a. Both files belong to the operator: it tells them apart, and protects from nobody.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl State {
    /// Into memory of the exact size: a buffer that grows leaves copies of keys behind.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, number) = match self.terms.clients {
            Clients::NotAsked => (0, 0),
            Clients::Optional(number) => (1, number),
            Clients::Required(number) => (2, number),
        };
        let flags = u8::from(self.tls13) | (u8::from(self.facts.is_some()) << 1);
        let mut fields: Vec<&[u8]> = vec![self.terms.policy.as_bytes(), &self.exported.0];
        if let Some(facts) = &self.facts {
            fields.push(facts.server_name.as_deref().unwrap_or_default().as_bytes());
            fields.push(facts.protocol.as_deref().unwrap_or_default().as_bytes());
            fields.extend(facts.client_certificates.iter().map(Vec::as_slice));
        }
        let length = |field: &[u8]| u32::try_from(field.len()).unwrap_or(u32::MAX);
        let total = fields.iter().map(|field| field.len() + 4).sum::<usize>();
        let mut bytes = Vec::with_capacity(HEAD + total);
        bytes.extend(MAGIC);
        bytes.extend([kind, flags]);
        bytes.extend(u64::to_le_bytes(number));
        bytes.extend(u32::try_from(total).unwrap_or(u32::MAX).to_le_bytes());
        for field in fields {
            bytes.extend(length(field).to_le_bytes());
            bytes.extend(field);
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        decode(bytes).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it is no TLS connection of this version of portkeep-s2n",
            )
        })
    }
}

fn decode(bytes: &[u8]) -> Option<State> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let ([kind, flags], rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (total, mut rest) = rest.split_first_chunk()?;
    let number = u64::from_le_bytes(*number);
    if rest.len() != u32::from_le_bytes(*total) as usize {
        return None;
    }
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (field, after) = after.split_at_checked(length)?;
        fields.push(field);
        rest = after;
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let (policy, exported, about) = match &fields[..] {
        [policy, exported, about @ ..] => (policy, exported, about),
        _ => return None,
    };
    if flags & !3 != 0 || exported.is_empty() {
        return None;
    }
    let facts = match (flags & 2 != 0, about) {
        (false, []) => None,
        (true, [name, protocol, certificates @ ..]) => {
            let some = |field: String| (!field.is_empty()).then_some(field);
            Some(Facts {
                server_name: some(text(name)?),
                protocol: some(text(protocol)?),
                client_certificates: certificates.iter().map(|one| one.to_vec()).collect(),
            })
        }
        _ => return None,
    };
    Some(State {
        terms: Terms {
            policy: text(policy)?,
            clients: match kind {
                0 if number == 0 => Clients::NotAsked,
                1 => Clients::Optional(number),
                2 => Clients::Required(number),
                _ => return None,
            },
        },
        tls13: flags & 1 != 0,
        facts,
        exported: Exported(Zeroizing::new(exported.to_vec())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(clients: Clients, facts: Option<Facts>) -> State {
        State {
            terms: Terms {
                policy: "20240503".to_owned(),
                clients,
            },
            tls13: true,
            facts,
            exported: Exported(Zeroizing::new(vec![7; 170])),
        }
    }

    fn examples() -> [State; 3] {
        let facts = Facts {
            server_name: Some("example.org".to_owned()),
            protocol: None,
            client_certificates: vec![vec![1; 900], vec![2; 1200]],
        };
        [
            state(Clients::NotAsked, None),
            state(Clients::Optional(9), Some(Facts::default())),
            state(Clients::Required(u64::MAX), Some(facts)),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for state in examples() {
            let bytes = state.encode();
            assert_eq!(bytes.capacity(), bytes.len());
            let read = State::decode(&bytes).unwrap();
            assert_eq!(read.terms, state.terms);
            assert_eq!((read.tls13, &read.facts), (true, &state.facts));
            assert_eq!(read.exported.0, state.exported.0);
        }
    }

    #[test]
    fn what_was_not_written_is_refused() {
        for state in examples() {
            let good = state.encode();
            for cut in 0..good.len() {
                assert!(State::decode(&good[..cut]).is_err(), "{cut}");
            }
            for place in 0..8 {
                let mut bad = good.clone();
                bad[place] ^= 1;
                assert!(State::decode(&bad).is_err(), "{place}");
            }
            assert!(State::decode(&[&good[..], &[0xff]].concat()).is_err());
        }
    }

    #[test]
    fn nothing_is_logged() {
        let told = format!("{:?}", examples());
        assert!(!told.contains("7, 7"), "{told}");
    }

    #[test]
    fn other_authorities_are_other_terms() {
        let settings = Settings::from_files("c", "k");
        let required = settings
            .clone()
            .client_certificates(ClientCertificates::Required("a".into()));
        let terms =
            |settings: &Settings, authorities: &[u8]| Terms::new(settings, Some(authorities));
        assert_eq!(terms(&required, b"one"), terms(&required, b"one"));
        assert_ne!(terms(&required, b"one"), terms(&required, b"two"));
        assert_ne!(terms(&required, b"one"), Terms::new(&settings, None));
        let other = settings.clone().policy("20250414");
        assert_ne!(Terms::new(&other, None), Terms::new(&settings, None));
    }
}
