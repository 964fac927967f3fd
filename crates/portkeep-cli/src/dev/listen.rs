//! Where `portkeep dev` listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portkeep_spec::{Address, Listen, SocketName};

use crate::exit::usage;

/// Where a project listens that says nothing of it.
pub(crate) const DEFAULT: &str = "127.0.0.1:8080";

/// Reads `[NAME=]ADDR`.
pub(crate) fn parse(words: &[String]) -> anyhow::Result<Vec<Listen>> {
    words
        .iter()
        .map(|word| {
            let (name, address) = match word.split_once('=') {
                Some((name, address)) => (
                    name.parse::<SocketName>()
                        .map_err(|error| usage(format!("--listen {word}: {error}")))?,
                    address,
                ),
                None => (SocketName::http(), word.as_str()),
            };
            let address = Address::stream(address)
                .map_err(|error| usage(format!("--listen {word}: {error}")))?;
            Ok(Listen::new(name, address))
        })
        .collect()
}

/// In development nothing listens beyond this machine unless it was asked for on the command line: an address of the
/// spec that does is replaced by loopback with the same port. Answers what was replaced.
pub(crate) fn keep_to_loopback(listen: &mut [Listen]) -> Vec<(Address, Address)> {
    let mut replaced = Vec::new();
    for one in listen {
        let local = match &one.address {
            Address::Tcp(address) => Address::Tcp(loopback(*address)),
            Address::Udp(address) => Address::Udp(loopback(*address)),
            _ => continue,
        };
        if local != one.address {
            replaced.push((std::mem::replace(&mut one.address, local.clone()), local));
        }
    }
    replaced
}

fn loopback(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_loopback() => address,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        // `[::]` takes IPv4 too, and people type 127.0.0.1.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
        }
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_listens_on_the_network_is_kept_to_this_machine() {
        let mut listen = parse(&[
            "0.0.0.0:80".into(),
            "b=[::]:81".into(),
            "c=127.0.0.2:82".into(),
        ])
        .unwrap();
        assert_eq!(keep_to_loopback(&mut listen).len(), 2);
        let addresses: Vec<_> = listen.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:82"]);
    }

    #[test]
    fn a_bad_address_names_the_option() {
        let error = parse(&["8080".into()]).unwrap_err().to_string();
        assert!(error.starts_with("--listen 8080:"), "{error}");
    }
}
