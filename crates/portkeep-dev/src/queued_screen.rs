//! Screen behind a queue of bounded size: a slow terminal holds up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::screen::{Line, Screen};

/// Bytes that may wait for a slow or stopped terminal. The oldest are dropped first.
const MOST: usize = 1 << 20;

/// Shows on another screen, in a thread of its own.
#[derive(Debug, Clone)]
pub(crate) struct QueuedScreen(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Number of dropped items.
    lost: usize,
    /// An item is being shown.
    is_busy: bool,
}

#[derive(Debug)]
enum Item {
    Line(Line),
    Bytes(Vec<u8>),
    Text(String),
}

impl Item {
    fn size(&self) -> usize {
        let size = match self {
            Self::Line(line) => line.to_string().len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        };
        // Its place in the queue counts, too.
        size + size_of::<Self>()
    }

    fn show(&self, screen: &dyn Screen) {
        match self {
            Self::Line(line) => screen.line(line),
            Self::Bytes(bytes) => screen.relay(bytes),
            Self::Text(text) => screen.relay_text(text),
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedScreen {
    pub(crate) fn before(screen: Arc<dyn Screen>) -> Self {
        let shared = Arc::new(Shared::default());
        // It ends with the process: a write to a stopped terminal cannot be cancelled.
        thread::spawn({
            let shared = shared.clone();
            move || show_all(&shared, &*screen)
        });
        Self(shared)
    }

    fn push(&self, item: Item) {
        let mut queue = self.0.queue();
        queue.bytes += item.size();
        queue.items.push_back(item);
        while queue.bytes > MOST {
            let Some(oldest) = queue.items.pop_front() else {
                break;
            };
            queue.bytes -= oldest.size();
            queue.lost += 1;
        }
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until all is shown, and no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.0.queue();
        while queue.is_busy || !queue.items.is_empty() {
            let Some(rest) = until.checked_duration_since(Instant::now()) else {
                return;
            };
            let waited = self.0.changed.wait_timeout(queue, rest);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Screen for QueuedScreen {
    fn line(&self, line: &Line) {
        self.push(Item::Line(line.clone()));
    }

    fn relay(&self, bytes: &[u8]) {
        self.push(Item::Bytes(bytes.to_vec()));
    }

    fn relay_text(&self, text: &str) {
        self.push(Item::Text(text.to_owned()));
    }
}

fn show_all(shared: &Shared, screen: &dyn Screen) {
    loop {
        let (lost, item) = {
            let mut queue = shared.queue();
            queue.is_busy = false;
            shared.changed.notify_all();
            let item = loop {
                match queue.items.pop_front() {
                    Some(item) => break item,
                    None => {
                        let woken = shared.changed.wait(queue);
                        queue = woken.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            queue.bytes -= item.size();
            queue.is_busy = true;
            (std::mem::take(&mut queue.lost), item)
        };
        if lost > 0 {
            let words = format!(
                "portkeep: {lost} lines and pieces of output are not shown: the terminal is slower"
            );
            screen.line(&words.into());
        }
        item.show(screen);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A screen that shows each item when it is allowed to.
    #[derive(Debug)]
    struct Slow {
        allowed: Mutex<Receiver<()>>,
        shown: Mutex<Sender<String>>,
    }

    impl Screen for Slow {
        fn line(&self, line: &Line) {
            if self.allowed.lock().unwrap().recv().is_ok() {
                let _ = self.shown.lock().unwrap().send(line.to_string());
            }
        }

        fn relay(&self, _: &[u8]) {}

        fn relay_text(&self, _: &str) {}
    }

    #[test]
    fn a_stopped_terminal_holds_up_nobody_and_shows_the_newest_when_it_goes_on() {
        let (allow, allowed) = channel();
        let (shown, seen) = channel();
        let queued = QueuedScreen::before(Arc::new(Slow {
            allowed: Mutex::new(allowed),
            shown: Mutex::new(shown),
        }));
        const LINES: usize = 100_000;
        for line in 0..LINES {
            queued.line(&format!("line {line:>40}").into());
        }
        queued.line(&"panicked".into());
        assert!(queued.0.queue().bytes <= MOST);
        queued.finish(Duration::from_millis(1));
        for _ in 0..LINES + 3 {
            allow.send(()).unwrap();
        }
        let mut last = String::new();
        let (mut count, mut told) = (0, false);
        while last != "panicked" {
            last = seen.recv_timeout(Duration::from_secs(60)).unwrap();
            count += 1;
            told |= last.contains("are not shown");
        }
        assert!(told && count < LINES);
        queued.finish(Duration::from_secs(60));
        assert!(queued.0.queue().items.is_empty());
    }
}
