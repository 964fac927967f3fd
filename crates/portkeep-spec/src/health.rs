//! Health sockets: an app, or portkeep in its place, answers there whether to send it requests.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{Address, AddressError, Listen, Protocol, SocketMode, SocketName};
use portkeep_contract as contract;

/// A socket on which an app tells whether it is ready to be sent requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthSocket {
    /// Its address.
    pub address: Address,
    /// Its protocol.
    pub protocol: HealthProtocol,
    /// The permissions of a Unix socket's file.
    pub mode: Option<SocketMode>,
    /// Owner of a Unix socket's file.
    pub user: Option<String>,
    /// Group of a Unix socket's file.
    pub group: Option<String>,
}

/// Protocol of a health socket.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HealthProtocol {
    /// HTTP: `/livez`, and `/readyz`, which answers 200, or 503 with the reason in JSON.
    #[default]
    Http,
    /// HAProxy's agent-check: each connection gets one line, `ready up`, `drain`, `maint` or `down#reason`.
    AgentCheck,
}

/// Who answers on the health sockets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthBy {
    /// The app, by the server library, with its own checks; the holding page while it does not serve.
    App,
    /// A process of portkeep's that runs only while it is asked: it only knows whether a generation serves.
    Portkeep,
}

impl HealthSocket {
    /// An HTTP socket with the defaults.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            protocol: HealthProtocol::Http,
            mode: None,
            user: None,
            group: None,
        }
    }

    /// The same as an ordinary socket, which is passed under the name of its protocol.
    #[must_use]
    pub fn as_listen(&self) -> Listen {
        let name = match self.protocol {
            HealthProtocol::Http => contract::HEALTH_SOCKET,
            HealthProtocol::AgentCheck => contract::AGENT_SOCKET,
        };
        Listen {
            // No page of the app is to answer there.
            protocol: Protocol::Raw,
            mode: self.mode,
            user: self.user.clone(),
            group: self.group.clone(),
            ..Listen::new(SocketName::ours(name), self.address.clone())
        }
    }
}

/// An entry of `health` as it is written.
#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "HealthSocket")]
pub(crate) struct Entry {
    /// The address: "127.0.0.1:8081", "[::1]:8081" or the absolute path of a Unix socket.
    stream: Text,
    /// The protocol: "http" or, for HAProxy, "agent-check". Default: "http".
    #[serde(default)]
    protocol: HealthProtocol,
    /// Who may connect to a Unix socket: the permissions of its file, in octal digits. Default: "0600", its owner; with
    /// `group` "0660", its group, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<SocketMode>,
    /// Owner of a Unix socket's file. Default: root, or the user whose manager holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Group of a Unix socket's file, such as that of a proxy in front. Default: that of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

/// `health` as it may be written: one address, one socket, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "only its schema is of use")]
pub(crate) enum Written {
    /// The address of one HTTP socket: "127.0.0.1:8081" or the absolute path of a Unix socket.
    Address(String),
    /// One socket.
    One(Entry),
    /// Several.
    List(Vec<Either>),
}

/// One of a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "only its schema is of use")]
pub(crate) enum Either {
    /// The address of an HTTP socket.
    Address(String),
    /// A socket.
    One(Entry),
}

#[derive(JsonSchema)]
struct Text(#[schemars(with = "String")] Address);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address as text, like \"127.0.0.1:8081\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                Address::stream(text).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<Address, E> {
                Err(E::custom(AddressError::OnlyPort(port.to_string())))
            }
        }

        deserializer.deserialize_any(Read).map(Self)
    }
}

impl From<Entry> for HealthSocket {
    fn from(entry: Entry) -> Self {
        Self {
            address: entry.stream.0,
            protocol: entry.protocol,
            mode: entry.mode,
            user: entry.user,
            group: entry.group,
        }
    }
}

impl Serialize for HealthSocket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = Entry {
            stream: Text(self.address.clone()),
            protocol: self.protocol,
            mode: self.mode,
            user: self.user.clone(),
            group: self.group.clone(),
        };
        entry.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HealthSocket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl<'de> Visitor<'de> for One {
            type Value = HealthSocket;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a socket like { \"stream\": \"127.0.0.1:8081\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HealthSocket, E> {
                let address = Address::stream(text).map_err(E::custom)?;
                Ok(HealthSocket::new(address))
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<HealthSocket, E> {
                Err(E::custom(AddressError::OnlyPort(port.to_string())))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<HealthSocket, A::Error> {
                let entry = Entry::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(entry.into())
            }
        }

        deserializer.deserialize_any(One)
    }
}

/// Reads `health`: one, or a list.
pub(crate) fn deserialize_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HealthSocket>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<HealthSocket>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address like \"127.0.0.1:8081\", a socket, or a list of sockets")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let address = Address::stream(text).map_err(E::custom)?;
            Ok(vec![HealthSocket::new(address)])
        }

        fn visit_u64<E: de::Error>(self, port: u64) -> Result<Self::Value, E> {
            Err(E::custom(AddressError::OnlyPort(port.to_string())))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let entry = Entry::deserialize(de::value::MapAccessDeserializer::new(map))?;
            Ok(vec![entry.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(one) = entries.next_element()? {
                list.push(one);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(List)
}
