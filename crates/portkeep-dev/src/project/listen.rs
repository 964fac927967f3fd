//! Addresses that `portkeep dev` listens on.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use portkeep_spec::{Address, Listen, SocketName, is_ipv6_only};

use crate::usage::usage;

/// The address of a project that names none.
pub(crate) const DEFAULT: &str = "127.0.0.1:8080";

/// Reads `[NAME=]ADDR`.
pub(crate) fn parse(words: &[String]) -> anyhow::Result<Vec<Listen>> {
    let listen: anyhow::Result<Vec<_>> = words
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
        .collect();
    let listen = listen?;
    for (at, one) in listen.iter().enumerate() {
        let earlier = listen[..at].iter().position(|other| other.name == one.name);
        if let Some(earlier) = earlier {
            return Err(usage(format!(
                "--listen {}: the name `{}` is taken by --listen {}; give each a name of its own, as in --listen admin={}",
                words[at], one.name, words[earlier], one.address
            )));
        }
    }
    Ok(listen)
}

/// Number of ports that are tried.
const PORTS: u16 = 100;

/// Gives the first TCP listener another port.
pub(crate) fn at_port(listen: &mut [Listen], port: u16) -> anyhow::Result<()> {
    let first = listen.iter_mut().find_map(|one| match &mut one.address {
        Address::Tcp(address) => Some(address),
        _ => None,
    });
    first
        .map(|address| address.set_port(port))
        .ok_or_else(|| usage("--port: this app does not listen at a port; use --listen"))
}

/// Gives each TCP listener whose port is taken the next free one. Returns the replaced addresses.
pub(crate) fn at_free_ports(
    listen: &mut [Listen],
    is_free: impl Fn(SocketAddr) -> bool,
) -> anyhow::Result<Vec<(SocketAddr, SocketAddr)>> {
    let mut replaced = Vec::new();
    for index in 0..listen.len() {
        let Address::Tcp(wanted) = listen[index].address else {
            continue;
        };
        let others: Vec<_> = listen.iter().map(|one| one.address.clone()).collect();
        let is_own = |address: SocketAddr| {
            let mut others = others.iter().enumerate();
            others.any(|(at, other)| at != index && *other == Address::Tcp(address))
        };
        let last = wanted.port().saturating_add(PORTS);
        let found = (wanted.port()..=last)
            .map(|port| SocketAddr::new(wanted.ip(), port))
            .find(|address| !is_own(*address) && is_free(*address))
            .ok_or_else(|| {
                usage(format!(
                    "--port auto: no port from {} to {last} is free at {}; name one with --port PORT",
                    wanted.port(),
                    wanted.ip()
                ))
            })?;
        if found != wanted {
            listen[index].address = Address::Tcp(found);
            replaced.push((wanted, found));
        }
    }
    Ok(replaced)
}

/// Gives TCP listeners the addresses that were found for them earlier.
pub(crate) fn at_ports(listen: &mut [Listen], ports: &[(SocketAddr, SocketAddr)]) {
    for one in listen {
        if let Address::Tcp(address) = &mut one.address
            && let Some((_, found)) = ports.iter().find(|(wanted, _)| wanted == address)
        {
            *address = *found;
        }
    }
}

/// Whether nobody listens on the address, or on the same port of the other loopback address.
pub(crate) fn is_free(address: SocketAddr) -> bool {
    let is_held = |address: SocketAddr| {
        let tried = TcpListener::bind(address);
        tried.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    !is_held(address) && !other_loopback(address).is_some_and(is_held)
}

/// The same port of the other loopback address: a browser may use either for `localhost`.
pub(crate) fn other_loopback(address: SocketAddr) -> Option<SocketAddr> {
    let other: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip == Ipv4Addr::LOCALHOST => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip == Ipv6Addr::LOCALHOST => Ipv4Addr::LOCALHOST.into(),
        _ => return None,
    };
    Some(SocketAddr::new(other, address.port()))
}

/// The missing other loopback addresses of a spec's listeners.
pub(crate) fn other_loopbacks(listen: &[Listen]) -> Vec<(SocketAddr, SocketAddr)> {
    let tcp = |one: &Listen| match one.address {
        Address::Tcp(address) => Some(address),
        _ => None,
    };
    let has = |wanted: SocketAddr| {
        let mut all = listen.iter().filter_map(tcp);
        all.any(|one| one == wanted || one.ip().is_unspecified() && one.port() == wanted.port())
    };
    let pairs = listen
        .iter()
        .filter_map(tcp)
        .filter_map(|one| Some((one, other_loopback(one)?)));
    pairs
        .filter(|(_, other_loopback)| !has(*other_loopback))
        .collect()
}

/// In development nothing listens beyond this machine unless the command line says so: each such address of the spec is
/// replaced by a loopback address of its own with the same port. Returns what was replaced.
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

/// In development, the file of a Unix socket belongs to the developer, who cannot give it to the users and groups of a
/// server.
pub(crate) fn keep_to_developer(listen: &mut [Listen]) {
    for one in listen {
        (one.user, one.group) = (None, None);
    }
}

fn loopback(address: &Address, ip: IpAddr, all: &[Listen]) -> IpAddr {
    match ip {
        // `[::]` accepts IPv4 as well, unless 0.0.0.0 has a socket of its own, and people type 127.0.0.1.
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
    fn a_name_that_is_given_twice_names_the_option() {
        let twice = |words: [&str; 2]| parse(&words.map(str::to_owned)).unwrap_err().to_string();
        let error = twice(["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(
            error,
            "--listen 127.0.0.1:2: the name `http` is taken by --listen 127.0.0.1:1; give each a name of its own, as in \
             --listen admin=127.0.0.1:2"
        );
        let error = twice(["web=127.0.0.1:1", "web=/run/x"]);
        assert!(
            error.starts_with("--listen web=/run/x: the name `web`"),
            "{error}"
        );
    }

    #[test]
    fn the_next_free_port_is_taken_where_the_wanted_one_is_held() {
        let mut listen = parse(&[
            "127.0.0.1:80".into(),
            "b=127.0.0.1:81".into(),
            "c=/run/x".into(),
            "d=127.0.0.1:90".into(),
        ])
        .unwrap();
        let held = [80, 82];
        let replaced = at_free_ports(&mut listen, |one| !held.contains(&one.port())).unwrap();
        let addresses: Vec<_> = listen.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(
            addresses,
            ["127.0.0.1:83", "127.0.0.1:81", "/run/x", "127.0.0.1:90"]
        );
        assert_eq!(replaced.len(), 1);
        let error = at_free_ports(&mut listen, |_| false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no port from 83 to 183 is free at 127.0.0.1"),
            "{error}"
        );
        at_port(&mut listen, 3000).unwrap();
        assert_eq!(listen[0].address.to_string(), "127.0.0.1:3000");
        assert!(at_port(&mut listen[2..3], 1).is_err());
    }

    #[test]
    fn a_port_is_free_where_nobody_has_it_at_either_loopback_address() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert!(!is_free(address));
        if let Some(other_loopback) = other_loopback(address) {
            assert!(!is_free(other_loopback));
        }
    }

    #[test]
    fn each_loopback_address_has_its_twin_but_where_the_spec_has_it() {
        let other_loopbacks = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            let found = other_loopbacks(&parse(&words).unwrap()).into_iter();
            found
                .map(|(_, other_loopback)| other_loopback.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            other_loopbacks(&["127.0.0.1:80", "b=127.0.0.2:80", "c=/run/x"]),
            ["[::1]:80"]
        );
        assert_eq!(other_loopbacks(&["[::1]:80"]), ["127.0.0.1:80"]);
        assert_eq!(other_loopbacks(&["127.0.0.1:80", "b=[::1]:80"]), [""; 0]);
        assert_eq!(other_loopbacks(&["127.0.0.1:80", "b=[::]:80"]), [""; 0]);
    }

    #[test]
    fn a_bad_address_names_the_option() {
        let error = parse(&["8080".into()]).unwrap_err().to_string();
        assert!(error.starts_with("--listen 8080:"), "{error}");
    }
}
