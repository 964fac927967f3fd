//! Register of a server's connections, with the time since each has been in its state.
//!
//! A connection changes its own counters and nothing here, so that no request waits for a lock or looks at a clock: the
//! sweeper sees what has changed since its last look.

use std::array;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Facts, Order, State};

/// One lock for each part, so that connections that come and go rarely wait for each other.
const PARTS: usize = 16;

/// A connection, for the sweeper. It may be called at any time, from any thread.
pub(crate) trait Watched: Send + Sync {
    fn facts(&self) -> Facts;
    /// Time since the client connected, in whatever process.
    fn age(&self, now: Instant) -> Duration;
    /// Gives it an order that is valid as long as its state is that of `facts`. It is repeated as long as that is the case.
    fn tell(&self, order: Order, facts: Facts);
}

/// The number of a connection. Numbers increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);

#[derive(Default)]
pub(crate) struct Register {
    parts: [Mutex<BTreeMap<u64, Entry>>; PARTS],
}

struct Entry {
    watched: Arc<dyn Watched>,
    /// Its state at the last look.
    state: State,
    stamp: u64,
    /// When it was first seen in that state, and how long it was in it in another process before.
    since: Instant,
    before: Duration,
    /// When it may have entered that state.
    perhaps_since: Instant,
    looked: Instant,
}

impl Entry {
    /// Its state, and the shortest time that it has been in it.
    fn look(&mut self, now: Instant) -> (Facts, Duration) {
        let facts = self.watched.facts();
        if (facts.state, facts.stamp) != (self.state, self.stamp) {
            (self.state, self.stamp) = (facts.state, facts.stamp);
            (self.since, self.before) = (now, Duration::ZERO);
            self.perhaps_since = self.looked;
        }
        self.looked = now;
        let here = now.saturating_duration_since(self.since);
        (facts, self.before.saturating_add(here))
    }

    /// The longest time that it may have been in its state.
    fn perhaps(&self, now: Instant) -> Duration {
        let here = now.saturating_duration_since(self.perhaps_since);
        self.before.saturating_add(here)
    }

    fn decide(
        &mut self,
        now: Instant,
        decide: impl Fn(Facts, Duration, Duration) -> Option<Order>,
    ) {
        let (facts, waited) = self.look(now);
        if let Some(order) = decide(facts, waited, self.watched.age(now)) {
            self.watched.tell(order, facts);
        }
    }
}

/// Connections that can make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spare {
    /// Number of idle ones, for however long.
    pub(crate) idle: usize,
    /// Number of those that were told to end.
    pub(crate) told: usize,
}

impl Register {
    fn part(&self, number: u64) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        let part = &self.parts[(number % PARTS as u64) as usize];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection that has been in its state for `before`. It is judged at once: its process may have no time for a
    /// sweep.
    pub(crate) fn enter(
        &self,
        key: Key,
        watched: Arc<dyn Watched>,
        before: Duration,
        decide: impl Fn(Facts, Duration, Duration) -> Option<Order>,
    ) {
        let Facts { state, stamp, .. } = watched.facts();
        let now = Instant::now();
        let mut entry = Entry {
            watched,
            state,
            stamp,
            since: now,
            before,
            perhaps_since: now,
            looked: now,
        };
        entry.decide(now, decide);
        self.part(key.0).insert(key.0, entry);
    }

    pub(crate) fn leave(&self, key: Key) {
        // Not dropped under the lock.
        let entry = self.part(key.0).remove(&key.0);
        drop(entry);
    }

    /// How long it has been in its state.
    pub(crate) fn waited(&self, key: Key) -> Duration {
        let mut part = self.part(key.0);
        let entry = part.get_mut(&key.0);
        entry.map_or(Duration::ZERO, |entry| entry.look(Instant::now()).1)
    }

    /// Looks at one part of the register, and gives orders.
    pub(crate) fn sweep(
        &self,
        part: usize,
        decide: impl Fn(Facts, Duration, Duration) -> Option<Order>,
    ) {
        let now = Instant::now();
        for entry in self.part(part as u64).values_mut() {
            entry.decide(now, &decide);
        }
    }

    /// The parts for [`Register::sweep`].
    pub(crate) fn parts() -> std::ops::Range<usize> {
        0..PARTS
    }

    /// Gives an order to this many connections that have been idle for at least `idle`, those that have been idle for longest
    /// first.
    pub(crate) fn tell_spare(&self, most: usize, idle: Duration, order: Order) -> Spare {
        let now = Instant::now();
        let (mut spare, mut count) = (Vec::new(), 0);
        for part in Self::parts() {
            for (number, entry) in self.part(part as u64).iter_mut() {
                let (facts, waited) = entry.look(now);
                count += usize::from(facts.spare);
                if facts.spare && waited >= idle {
                    spare.push((Reverse(entry.perhaps(now)), *number));
                }
            }
        }
        if most == 0 || spare.is_empty() {
            return Spare {
                idle: count,
                told: 0,
            };
        }
        let last = most.min(spare.len()) - 1;
        let (before, at, _) = spare.select_nth_unstable(last);
        for (_, number) in before.iter().chain([&*at]) {
            if let Some(entry) = self.part(*number).get_mut(number) {
                let facts = entry.look(now).0;
                if facts.spare {
                    entry.watched.tell(order, facts);
                }
            }
        }
        Spare {
            idle: count,
            told: last + 1,
        }
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: [usize; PARTS] = array::from_fn(|part| self.part(part as u64).len());
        f.debug_tuple("Register").field(&counts).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use tokio::time::advance;

    use super::*;
    use crate::limits::Reason;

    const CROWDED: Order = Order::End(Reason::Crowded);

    #[derive(Default)]
    struct Connection {
        stamp: AtomicU64,
        busy: bool,
        told: Mutex<Vec<Order>>,
    }

    impl Watched for Connection {
        fn facts(&self) -> Facts {
            Facts {
                state: State::Idle,
                stamp: self.stamp.load(Relaxed),
                spare: !self.busy,
                http2: false,
            }
        }

        fn age(&self, _: Instant) -> Duration {
            Duration::ZERO
        }

        fn tell(&self, order: Order, _: Facts) {
            self.told.lock().unwrap().push(order);
        }
    }

    fn entered(register: &Register, number: u64, before: u64, busy: bool) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            busy,
            ..Connection::default()
        });
        let watched = Arc::clone(&connection);
        register.enter(
            Key(number),
            watched,
            Duration::from_secs(before),
            |_, _, _| None,
        );
        connection
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_goes_on_from_process_to_process_until_something_happens() {
        let register = Register::default();
        let one = entered(&register, 7, 20, false);
        advance(Duration::from_secs(5)).await;
        assert_eq!(register.waited(Key(7)), Duration::from_secs(25));
        one.stamp.store(1, Relaxed);
        assert_eq!(register.waited(Key(7)), Duration::ZERO);
        advance(Duration::from_secs(3)).await;
        assert_eq!(register.waited(Key(7)), Duration::from_secs(3));
        // A wrong clock of another process causes no panic.
        entered(&register, 8, u64::MAX, false);
        advance(Duration::from_secs(3)).await;
        assert!(register.waited(Key(8)) >= Duration::from_secs(u64::MAX));
        register.leave(Key(7));
        assert_eq!(register.waited(Key(7)), Duration::ZERO);
        assert_eq!(Arc::strong_count(&one), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_for_longest_are_spared_first() {
        let register = Register::default();
        let all: Vec<_> = (0..100)
            .map(|number| entered(&register, number, number % 50, number % 10 == 9))
            .collect();
        let told = || {
            let told = all.iter().enumerate();
            let told = told.filter(|(_, one)| one.told.lock().unwrap().pop() == Some(CROWDED));
            told.map(|(number, _)| number).collect::<Vec<_>>()
        };
        register.tell_spare(3, Duration::ZERO, CROWDED);
        // 49 and 99 are busy; of two with the same idle time, the older comes first.
        assert_eq!(told(), [47, 48, 98]);
        register.tell_spare(0, Duration::ZERO, CROWDED);
        assert_eq!(told(), [0; 0]);
        register.tell_spare(1000, Duration::ZERO, CROWDED);
        assert_eq!(told().len(), 90);
    }

    /// Between two looks the moment is unknown: the connection that may have been idle for longer comes first.
    #[tokio::test(start_paused = true)]
    async fn one_that_just_came_is_the_last_to_be_spared() {
        let register = Register::default();
        let early = entered(&register, 0, 0, false);
        advance(Duration::from_secs(1)).await;
        early.stamp.store(1, Relaxed);
        let late = entered(&register, 1, 0, false);
        advance(Duration::from_millis(1)).await;
        let spare = register.tell_spare(1, Duration::ZERO, CROWDED);
        assert_eq!(spare, Spare { idle: 2, told: 1 });
        assert_eq!(*early.told.lock().unwrap(), [CROWDED]);
        assert!(late.told.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_too_late_is_told_at_once() {
        let connection = Arc::new(Connection::default());
        let watched = Arc::clone(&connection);
        let before = Duration::from_secs(9);
        Register::default().enter(Key(1), watched, before, |_, waited, _| {
            (waited >= before).then_some(CROWDED)
        });
        assert_eq!(*connection.told.lock().unwrap(), [CROWDED]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_judged_once_in_a_sweep() {
        let register = Register::default();
        let all: Vec<_> = (0..50)
            .map(|number| entered(&register, number, 9, false))
            .collect();
        advance(Duration::from_secs(1)).await;
        for part in Register::parts() {
            register.sweep(part, |_, waited, _| {
                (waited == Duration::from_secs(10)).then_some(CROWDED)
            });
        }
        assert!(all.iter().all(|one| *one.told.lock().unwrap() == [CROWDED]));
    }
}
