//! Moves connections again and again, at any moment: in the middle of records, of requests, of bodies, while keys are renewed.
//!
//! Each client asks what has one right answer, on one connection that must not end. `PORTKEEP_MOVE_CASES` sets the number
//! of requests of each client, `PORTKEEP_MOVE_SEED` makes it another run.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::client::{Client, get};
use crate::manager::Process;
use crate::seeded_random::SeededRandom;
use crate::world::{World, only_moved};

const CLIENTS: u64 = 24;

pub(crate) fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

struct Total {
    requests: AtomicU64,
    renewed: AtomicU64,
}

fn ask(client: &mut Client, tls13: bool, random: &mut SeededRandom, total: &Total) {
    if tls13 && random.once_in(5) {
        client.renew_keys().unwrap();
        total.renewed.fetch_add(1, SeqCst);
        if random.once_in(2) {
            thread::sleep(Duration::from_millis(random.below(30)));
        }
    }
    let mut expected = Vec::new();
    let count = 1 + random.below(3);
    for _ in 0..count {
        if random.once_in(3) {
            let body: Vec<u8> = (0..random.size(60_000)).map(|i| i as u8).collect();
            let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
            let head = format!(
                "POST /sum HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            client.send(&[head.as_bytes(), &body].concat()).unwrap();
            expected.push(format!("{} {sum}", body.len()).into_bytes());
        } else {
            let size = random.size(40_000) as usize;
            client
                .send(get(&format!("/letters?size={size}")).as_bytes())
                .unwrap();
            expected.push((b'a'..=b'z').cycle().take(size).collect());
        }
    }
    for expected in expected {
        let (head, body) = client.answer().unwrap();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(!head.contains("connection: close"), "{head}");
        assert_eq!(body.len(), expected.len());
        assert!(body == expected, "another answer");
        total.requests.fetch_add(1, SeqCst);
    }
}

#[test]
fn whenever_they_move_answers_are_right() {
    let rounds = number("PORTKEEP_MOVE_CASES", 150);
    let seed = number("PORTKEEP_MOVE_SEED", 1);
    let world = World::new();
    let mut current = world.start();
    let total = Total {
        requests: AtomicU64::new(0),
        renewed: AtomicU64::new(0),
    };
    let (mut handovers, mut moved) = (0, 0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (world, total) = (&world, &total);
                scope.spawn(move || {
                    let tls13 = number % 3 > 0;
                    let config = world.config(&[if tls13 { &TLS13 } else { &TLS12 }]);
                    let client = Client::connect(world.address, &Arc::new(config));
                    let mut random = SeededRandom::new(seed, number);
                    let mut client = client.difficult(SeededRandom::new(!seed, number));
                    client.who();
                    for _ in 0..rounds {
                        ask(&mut client, tls13, &mut random, total);
                        thread::sleep(Duration::from_millis(random.below(20)));
                    }
                })
            })
            .collect();
        let mut draining = VecDeque::new();
        let mut ends = |old: &mut Process| moved += only_moved(old);
        while !clients.iter().all(|client| client.is_finished()) {
            let old = std::mem::replace(&mut current, world.start());
            old.drain();
            handovers += 1;
            draining.push_back(old);
            // One that has not come to its end holds up nobody: whoever comes next drains beside it.
            if draining.len() > 6 {
                ends(&mut draining.pop_front().unwrap());
            }
        }
        draining.iter_mut().for_each(ends);
        for client in clients {
            client.join().unwrap();
        }
    });
    println!(
        "measured: {} requests, {moved} moves in {handovers} handovers, {} times new keys, 0 wrong, 0 closed",
        total.requests.load(SeqCst),
        total.renewed.load(SeqCst),
    );
    assert!(moved > CLIENTS, "too little was moved to prove anything");
}
