//! Next generations that take, refuse, or die in the middle, one after another.
//!
//! Clients renew their keys, and leave a request half sent when their server is replaced. Whatever comes of that, an answer is
//! right, and a connection that ends does so because a generation has refused it or has died. `PORTKEEP_TLS_MOVES` sets how many
//! moves there are at least, `PORTKEEP_MOVE_SEED` makes it another run.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::client::{Client, get};
use crate::manager::Process;
use crate::probe;
use crate::random::number;
use crate::seeded_random::SeededRandom;
use crate::world::{World, only_moved};

const CLIENTS: usize = 100;
/// Neither takes connections of the other.
const POLICIES: [&str; 2] = ["20240503", "20241001"];

/// What the next generation does with the connections that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Takes,
    Refuses,
    Dies,
}

impl Next {
    fn any(random: &mut SeededRandom) -> Self {
        match random.below(10) {
            0 => Self::Refuses,
            1 => Self::Dies,
            _ => Self::Takes,
        }
    }

    /// What may become of a connection whose client did nothing wrong.
    fn allows(self, fate: Fate) -> bool {
        match fate {
            Fate::Kept(_) => true,
            Fate::Closed => self != Self::Takes,
            Fate::Lost => self == Self::Dies,
        }
    }
}

/// What became of a connection, by what its client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// By the process of this number.
    Kept(u32),
    /// The answer said that it is the last one.
    Closed,
    /// With the process that had it.
    Lost,
}

#[derive(Debug, Default)]
struct Total {
    requests: u64,
    renewed: u64,
    halves: u64,
    moved: u64,
    closed: u64,
    lost: u64,
    /// One for each [`Next`].
    handovers: [u64; 3],
}

struct Patient {
    client: Client,
    config: Arc<ClientConfig>,
    tls13: bool,
    /// What is still to be sent of a request, and how long its answer is.
    half: Option<(Vec<u8>, usize)>,
}

fn letters(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

impl Patient {
    fn new(world: &World, config: Arc<ClientConfig>, tls13: bool) -> Self {
        let mut client = Client::connect(world.address, &config);
        client.who();
        Self {
            client,
            config,
            tls13,
            half: None,
        }
    }

    /// Before its server is replaced: another key, half a request.
    fn prepare(&mut self, random: &mut SeededRandom, total: &mut Total) {
        if self.tls13 && random.once_in(4) {
            self.client.renew_keys().unwrap();
            total.renewed += 1;
        }
        if random.once_in(5) {
            let length = random.size(30_000) as usize;
            let request = get(&format!("/letters?size={length}"));
            self.client
                .session
                .writer()
                .write_all(request.as_bytes())
                .unwrap();
            let mut first = self.client.records();
            let rest = first.split_off(1 + random.below(first.len() as u64 - 1) as usize);
            self.client.socket.write_all(&first).unwrap();
            self.half = Some((rest, length));
            total.halves += 1;
        }
    }

    /// Asks, or finishes what it was asking.
    fn ask(&mut self, random: &mut SeededRandom) -> io::Result<Fate> {
        let length = match self.half.take() {
            Some((rest, length)) => {
                self.client.socket.write_all(&rest)?;
                length
            }
            None => {
                let length = random.size(30_000) as usize;
                self.client
                    .send(get(&format!("/letters?size={length}")).as_bytes())?;
                length
            }
        };
        let (head, body) = self.client.answer()?;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(body == letters(length), "another answer");
        if head.contains("connection: close") {
            return Ok(Fate::Closed);
        }
        let process = head
            .lines()
            .find_map(|line| line.strip_prefix("x-process: "));
        Ok(Fate::Kept(process.unwrap().parse().unwrap()))
    }

    fn fate(&mut self, random: &mut SeededRandom) -> Fate {
        self.ask(random).unwrap_or_else(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Fate::Lost
            }
            _ => panic!("out of step: {error}"),
        })
    }
}

struct Storm {
    world: World,
    policy: usize,
    random: SeededRandom,
    total: Total,
    clients: Vec<Patient>,
}

impl Storm {
    fn start(&self) -> Process {
        let setup = self.world.setup();
        setup
            .set(probe::POLICY, POLICIES[self.policy])
            .start_ready()
    }

    /// Replaces a generation, and returns the one that serves then.
    fn replace(&mut self, mut old: Process, next: Next) -> Process {
        self.total.handovers[next as usize] += 1;
        for client in &mut self.clients {
            client.prepare(&mut self.random, &mut self.total);
        }
        if next == Next::Refuses {
            self.policy = 1 - self.policy;
        }
        let mut new = self.start();
        old.drain();
        if next == Next::Dies {
            thread::sleep(Duration::from_micros(self.random.below(20_000)));
            new.signal(Signal::KILL);
            new.exited();
            new = self.start();
        }
        for client in &mut self.clients {
            // A half is finished; where connections end, each has to hear so.
            if client.half.is_none() && next == Next::Takes && !self.random.once_in(4) {
                continue;
            }
            let mut fate = client.fate(&mut self.random);
            // It may answer, and be refused after that.
            while next != Next::Takes && fate == Fate::Kept(old.id()) {
                self.total.requests += 1;
                fate = client.fate(&mut self.random);
            }
            assert!(next.allows(fate), "{next:?}: {fate:?}\n{}", old.story());
            self.total.requests += u64::from(fate != Fate::Lost);
            self.total.closed += u64::from(fate == Fate::Closed);
            self.total.lost += u64::from(fate == Fate::Lost);
            if !matches!(fate, Fate::Kept(_)) {
                *client = Patient::new(&self.world, Arc::clone(&client.config), client.tls13);
            }
        }
        self.total.moved += only_moved(&mut old);
        new
    }
}

#[test]
fn whatever_becomes_of_the_next_one_answers_are_right() {
    let moves = number("PORTKEEP_TLS_MOVES", 800);
    let world = World::new();
    let old = world.setup().set(probe::POLICY, POLICIES[0]).start_ready();
    let configs = [&TLS12, &TLS13].map(|version| Arc::new(world.config(&[version])));
    let clients = (0..CLIENTS).map(|number| {
        let tls13 = number % 3 > 0;
        Patient::new(&world, Arc::clone(&configs[usize::from(tls13)]), tls13)
    });
    let mut storm = Storm {
        clients: clients.collect(),
        world,
        policy: 0,
        random: SeededRandom::new(number("PORTKEEP_MOVE_SEED", 1), 77),
        total: Total::default(),
    };
    // Each at least once.
    let mut current = old;
    for next in [Next::Takes, Next::Refuses, Next::Takes, Next::Dies] {
        current = storm.replace(current, next);
    }
    while storm.total.moved < moves {
        let next = Next::any(&mut storm.random);
        current = storm.replace(current, next);
    }
    let Total {
        requests,
        renewed,
        halves,
        moved,
        closed,
        lost,
        handovers,
    } = storm.total;
    let [takes, refuses, dies] = handovers;
    println!(
        "measured: {moved} moves in {takes} handovers, {refuses} next generations that refused and {dies} that died; {requests} requests, {halves} of them half sent at a handover, {renewed} times new keys: 0 wrong; {closed} connections closed in good order, {lost} lost with those that died"
    );
}
