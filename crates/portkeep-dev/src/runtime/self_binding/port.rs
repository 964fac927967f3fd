//! Port of a self-binding app: whether it is free, and who owns it.

use std::net::SocketAddr;
use std::time::Duration;

use portkeep_engine::{Listening, listening_at, still_listening};
use portkeep_spec::Address;
use tokio::time::{Instant, sleep};

use super::version::Version;
use crate::host::Host;

/// Interval between looks at the port: the kernel does not tell when it is free.
const LOOK: Duration = Duration::from_millis(2);
/// A version that takes longer is reported.
const SILENCE: Duration = Duration::from_millis(300);
/// How long a version may keep its port after SIGTERM. In development, a person waits for the next one.
const LIMIT: Duration = Duration::from_secs(5);

/// Tells a version to end within `patience`, and waits until nobody listens on its addresses or it has ended. After a
/// while, calls `holds` once with the addresses and the time that is left.
pub(super) async fn release(
    version: &Version,
    patience: Duration,
    holds: impl FnOnce(Vec<Address>, Duration),
) {
    // It may have opened more since it came up.
    let mut sockets = listening_at(version.process.id());
    for socket in &version.sockets {
        if !sockets.contains(socket) {
            sockets.push(socket.clone());
        }
    }
    let begun = Instant::now();
    let limit = LIMIT.min(patience);
    let mut holds = Some(holds);
    version.process.begin_to_stop(patience);
    while version.process.is_alive() {
        let listening = still_listening(&sockets);
        if listening.is_empty() {
            return;
        }
        if begun.elapsed() > limit {
            version.process.stop(Duration::ZERO).await;
            return;
        }
        if begun.elapsed() > SILENCE
            && let Some(holds) = holds.take()
        {
            holds(addresses(&listening), limit);
        }
        sleep(LOOK).await;
    }
}

/// The addresses of sockets, without duplicates.
pub(super) fn addresses(sockets: &[Listening]) -> Vec<Address> {
    let mut found = Vec::new();
    for socket in sockets {
        if !found.contains(&socket.address) {
            found.push(socket.address.clone());
        }
    }
    found
}

/// The owner of the address in use: one of those in the program's messages, or one of its known addresses.
pub(super) fn who_holds(said: &[String], known: &[Address], host: &dyn Host) -> Option<String> {
    let named = said.iter().flat_map(|line| named(line));
    let candidates: Vec<_> = named.chain(known.iter().cloned()).collect();
    candidates.iter().find_map(|address| {
        let owner = host.port_owner(address)?;
        Some(format!("{address} is held by {owner}"))
    })
}

/// The addresses in a line.
fn named(line: &str) -> impl Iterator<Item = Address> {
    let is_outside = |c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c));
    let words = line.split(is_outside);
    words.filter_map(|word| {
        let address: SocketAddr = word.trim_end_matches(['.', ':']).parse().ok()?;
        Some(Address::Tcp(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_of_an_address_in_use_is_understood() {
        for (line, is, names) in [
            (
                "Error: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }",
                true,
                None,
            ),
            (
                "failed to bind 127.0.0.1:3000: Address already in use (os error 98)",
                true,
                Some("127.0.0.1:3000"),
            ),
            (
                "error creating server listener on [::1]:3000: address already in use",
                true,
                Some("[::1]:3000"),
            ),
            ("listening at 10:20:30", false, None),
        ] {
            assert_eq!(portkeep_engine::says_in_use(line), is, "{line}");
            let found = named(line).next().map(|one| one.to_string());
            assert_eq!(found.as_deref(), names, "{line}");
        }
    }
}
