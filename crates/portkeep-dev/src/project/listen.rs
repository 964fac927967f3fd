//! Where `portkeep dev` listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portkeep_spec::{Address, Listen, SocketName, is_ipv6_only};

use crate::usage::usage;

/// Where a project listens that says nothing of it.
pub(crate) const DEFAULT: &str = "127.0.0.1:8080";

/// Reads `[NAME=]ADDR`.
pub(crate) fn parse(words: &[String]) -> anyhow::Result<Vec<Listen>> {
    let all = each(words)?;
    for (at, one) in all.iter().enumerate() {
        if let Some(before) = all[..at].iter().position(|other| other.name == one.name) {
            let (first, second) = (&words[before], &words[at]);
            let name = &one.name;
            let address = second
                .split_once('=')
                .map_or(&**second, |(_, address)| address);
            return Err(usage(format!(
                "--listen {second}: the socket of --listen {first} is called {name} already; give this one another name: --listen \
                 NAME={address}"
            )));
        }
    }
    Ok(all)
}

fn each(words: &[String]) -> anyhow::Result<Vec<Listen>> {
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
/// spec that does is replaced by loopback with the same port, another one for each. Answers what was replaced.
pub(crate) fn keep_to_loopback(listen: &mut [Listen]) -> Vec<(Address, Address)> {
    let asked = listen.to_vec();
    let mut replaced = Vec::new();
    for index in 0..listen.len() {
        let Some(address) = asked[index]
            .address
            .ip()
            .filter(|one| !one.ip().is_loopback())
        else {
            continue;
        };
        let at = |ip: IpAddr| {
            let address = SocketAddr::new(ip, address.port());
            match asked[index].address {
                Address::Udp(_) => Address::Udp(address),
                _ => Address::Tcp(address),
            }
        };
        let first = at(loopback(&asked[index].address, address.ip(), &asked));
        // All of 127.0.0.0/8 is this machine.
        let further = (2..=254).map(|last| at(Ipv4Addr::new(127, 0, 0, last).into()));
        let is_free = |address: &Address| listen.iter().all(|other| other.address != *address);
        let Some(local) = std::iter::once(first).chain(further).find(is_free) else {
            continue;
        };
        replaced.push((asked[index].address.clone(), local.clone()));
        listen[index].address = local;
    }
    replaced
}

/// In development the file of a Unix socket is the developer's, who cannot give it to the users and groups of a server.
pub(crate) fn keep_to_developer(listen: &mut [Listen]) {
    for one in listen {
        (one.user, one.group) = (None, None);
    }
}

fn loopback(address: &Address, ip: IpAddr, all: &[Listen]) -> IpAddr {
    match ip {
        // `[::]` takes IPv4 too, unless 0.0.0.0 has a socket of its own, and people type 127.0.0.1.
        IpAddr::V6(_) if is_ipv6_only(address, all) != Some(false) => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
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
    fn each_socket_has_a_loopback_address_of_its_own() {
        for (asked, expected) in [
            (["0.0.0.0:80", "[::]:80"], ["127.0.0.1:80", "[::1]:80"]),
            (["[::]:80", "0.0.0.0:80"], ["[::1]:80", "127.0.0.1:80"]),
            (
                ["10.0.0.1:80", "10.0.0.2:80"],
                ["127.0.0.1:80", "127.0.0.2:80"],
            ),
            (
                ["10.0.0.1:80", "127.0.0.1:80"],
                ["127.0.0.2:80", "127.0.0.1:80"],
            ),
            (
                ["[2001:db8::1]:80", "[::1]:80"],
                ["127.0.0.2:80", "[::1]:80"],
            ),
        ] {
            let words = [asked[0].to_owned(), format!("b={}", asked[1])];
            let mut listen = parse(&words).unwrap();
            keep_to_loopback(&mut listen);
            let addresses: Vec<_> = listen.iter().map(|one| one.address.to_string()).collect();
            assert_eq!(addresses, expected, "{asked:?}");
        }
    }

    #[test]
    fn a_unix_socket_is_the_developers() {
        let mut listen = parse(&["/run/a".into()]).unwrap();
        listen[0].user = Some("gate".into());
        listen[0].group = Some("www-data".into());
        keep_to_developer(&mut listen);
        assert_eq!(listen, parse(&["/run/a".into()]).unwrap());
        assert_eq!(listen[0].mode().to_string(), "0600");
    }

    #[test]
    fn a_bad_address_names_the_option() {
        let error = parse(&["8080".into()]).unwrap_err().to_string();
        assert!(error.starts_with("--listen 8080:"), "{error}");
    }
}
