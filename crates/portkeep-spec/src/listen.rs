//! One listening socket of an app.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{Address, AddressError, SocketMode, SocketName};

/// The queue that holds connections while no version runs; the kernel caps it at `net.core.somaxconn` (4096).
const BACKLOG: u32 = 4096;

/// One listening socket of an app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listen {
    /// The name by which the process finds the socket.
    pub name: SocketName,
    /// Its address.
    pub address: Address,
    /// Its protocol.
    pub protocol: Protocol,
    /// How many connections may wait to be accepted; 4096 unless written otherwise.
    pub backlog: u32,
    /// The permissions of a Unix socket's file, if they are written: see [`mode`](Self::mode).
    pub mode: Option<SocketMode>,
    /// Owner of a Unix socket's file; the manager's own unless written otherwise.
    pub user: Option<String>,
    /// Group of a Unix socket's file; the manager's own unless written otherwise.
    pub group: Option<String>,
    /// Whether to listen on an IP address that the machine does not have, if that is written: see
    /// [`binds_freely`](Self::binds_freely).
    pub free_bind: Option<bool>,
}

/// Protocol of a socket: decides what the server library serves and what the holding page may answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP; the default of stream sockets.
    Http,
    /// Anything else; the default of all other sockets.
    Raw,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Raw => "raw",
        })
    }
}

impl Listen {
    /// A socket with the default protocol of its kind and the default backlog.
    #[must_use]
    pub fn new(name: SocketName, address: Address) -> Self {
        let protocol = Protocol::default_of(&address);
        Self {
            name,
            address,
            protocol,
            backlog: BACKLOG,
            mode: None,
            user: None,
            group: None,
            free_bind: None,
        }
    }

    /// The permissions of a Unix socket's file. Its owner may connect; and its group, if one is written, since it would be
    /// pointless otherwise.
    #[must_use]
    pub fn mode(&self) -> SocketMode {
        self.mode.unwrap_or(match self.group {
            Some(_) => SocketMode::GROUP,
            None => SocketMode::USER,
        })
    }

    /// Whether to listen on an IP address that the machine does not have, or not yet; true unless written otherwise.
    #[must_use]
    pub fn binds_freely(&self) -> bool {
        self.free_bind.unwrap_or(true)
    }
}

impl Protocol {
    fn default_of(address: &Address) -> Self {
        match address {
            Address::Tcp(_) | Address::UnixStream(_) => Self::Http,
            Address::Udp(_) | Address::UnixDatagram(_) | Address::UnixSeqpacket(_) => Self::Raw,
        }
    }
}

/// An entry of `listen` as it is written.
#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Listen")]
pub(crate) struct Entry {
    /// The name by which the process finds the socket (`LISTEN_FDNAMES`); may be left out, for "http", in the only entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<SocketName>,
    /// A stream socket: "127.0.0.1:8080", "[::1]:8080" or the absolute path of a Unix socket. Exactly one of `stream`,
    /// `datagram` and `sequentialPacket` is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<Stream>,
    /// A datagram socket: "127.0.0.1:5353" or the absolute path of a Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datagram: Option<Datagram>,
    /// A Unix socket that keeps the bounds of messages: its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequential_packet: Option<SequentialPacket>,
    /// The protocol. Default: "http" for `stream`, else "raw".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// How many connections may wait to be accepted. Default: 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    backlog: Option<u32>,
    /// Who may connect to a Unix socket: the permissions of its file, in octal digits. Default: "0600", its owner; with
    /// `group` "0660", its group, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<SocketMode>,
    /// Owner of a Unix socket's file. Default: root, or the user whose manager holds it; only root can give it to another
    /// user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Group of a Unix socket's file, such as that of a proxy in front. Default: that of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Whether to listen on an IP address that the machine does not have, or gets only later (`FreeBind=`). Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    free_bind: Option<bool>,
}

macro_rules! address_of_kind {
    ($kind:ident, $read:path) => {
        #[derive(JsonSchema)]
        struct $kind(#[schemars(with = "String")] Address);

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = Address;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an address as text, like \"127.0.0.1:8080\"")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                        $read(text).map_err(E::custom)
                    }

                    // 8080 without quotes deserves the same answer as "8080".
                    fn visit_u64<E: de::Error>(self, port: u64) -> Result<Address, E> {
                        Err(E::custom(AddressError::OnlyPort(port.to_string())))
                    }
                }

                deserializer.deserialize_any(Text).map(Self)
            }
        }
    };
}

address_of_kind!(Stream, Address::stream);
address_of_kind!(Datagram, Address::datagram);
address_of_kind!(SequentialPacket, Address::sequential_packet);

impl TryFrom<Entry> for Listen {
    type Error = &'static str;

    fn try_from(entry: Entry) -> Result<Self, &'static str> {
        let address = match (entry.stream, entry.datagram, entry.sequential_packet) {
            (Some(Stream(address)), None, None)
            | (None, Some(Datagram(address)), None)
            | (None, None, Some(SequentialPacket(address))) => address,
            (None, None, None) => {
                return Err("no address; write for example \"stream\": \"127.0.0.1:8080\"");
            }
            _ => {
                return Err(
                    "more than one address; write one of stream, datagram and sequentialPacket, and an entry for each socket",
                );
            }
        };
        Ok(Self {
            name: entry.name.unwrap_or_else(SocketName::missing),
            protocol: entry
                .protocol
                .unwrap_or_else(|| Protocol::default_of(&address)),
            backlog: entry.backlog.unwrap_or(BACKLOG),
            mode: entry.mode,
            user: entry.user,
            group: entry.group,
            free_bind: entry.free_bind,
            address,
        })
    }
}

impl From<&Listen> for Entry {
    fn from(listen: &Listen) -> Self {
        let address = listen.address.clone();
        let (mut stream, mut datagram, mut sequential_packet) = (None, None, None);
        match &listen.address {
            Address::Tcp(_) | Address::UnixStream(_) => stream = Some(Stream(address)),
            Address::Udp(_) | Address::UnixDatagram(_) => datagram = Some(Datagram(address)),
            Address::UnixSeqpacket(_) => sequential_packet = Some(SequentialPacket(address)),
        }
        Self {
            name: Some(listen.name.clone()),
            stream,
            datagram,
            sequential_packet,
            protocol: Some(listen.protocol),
            backlog: Some(listen.backlog),
            mode: listen.mode,
            user: listen.user.clone(),
            group: listen.group.clone(),
            free_bind: listen.free_bind,
        }
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Entry::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Entry::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Reads `listen`: the only entry may leave its name out. Missing names of several are left to validation, which knows
/// how to name the field.
pub(crate) fn deserialize_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Listen>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<Listen>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of sockets, like [{ \"stream\": \"127.0.0.1:8080\" }]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<Listen>, A::Error> {
            let mut list = Vec::new();
            while let Some(listen) = entries.next_element::<Listen>()? {
                list.push(listen);
            }
            if let [only] = list.as_mut_slice()
                && only.name.is_missing()
            {
                only.name = SocketName::http();
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(List)
}
