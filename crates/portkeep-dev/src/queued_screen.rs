//! Screen behind a queue of bounded size: a slow terminal holds up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::screen::{Line, Screen};

/// Bytes that may wait for a slow or stopped terminal. The oldest are dropped first, and portkeep's own lines last: a flood of the
/// app must not hide that the app serves.
const MOST: usize = 1 << 20;
/// Bytes of portkeep's own lines that are kept when they would be dropped.
const MOST_OF_OURS: usize = 1 << 16;
/// Bytes of lines that are shown at once: a pipe holds as much by default.
const AT_ONCE: usize = 1 << 16;

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
    /// portkeep's own lines that were older than all other items when those were dropped.
    ours: VecDeque<Item>,
    bytes_of_ours: usize,
    items: VecDeque<Item>,
    bytes: usize,
    /// Number of dropped items.
    lost: usize,
    /// Something is being shown.
    is_busy: bool,
}

/// What is shown at once.
#[derive(Debug)]
struct Batch {
    /// Number of items dropped before these.
    lost: usize,
    items: Items,
}

#[derive(Debug)]
enum Items {
    Lines(Vec<Line>),
    Other(Item),
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
            Self::Line(line) => line.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        };
        // Its place in the queue counts, too.
        size + size_of::<Self>()
    }

    fn is_ours(&self) -> bool {
        matches!(self, Self::Line(line) if line.is_ours())
    }
}

impl Batch {
    fn show(&self, screen: &dyn Screen) {
        if self.lost > 0 {
            let words = format!(
                "portkeep: {} lines and pieces of output are not shown: the terminal is slower",
                self.lost
            );
            screen.line(&words.into());
        }
        match &self.items {
            Items::Lines(lines) => screen.lines(lines),
            Items::Other(Item::Line(line)) => screen.line(line),
            Items::Other(Item::Bytes(bytes)) => screen.relay(bytes),
            Items::Other(Item::Text(text)) => screen.relay_text(text),
        }
    }
}

impl Queue {
    fn push(&mut self, item: Item) {
        self.bytes += item.size();
        self.items.push_back(item);
        while self.bytes > MOST
            && let Some(oldest) = self.items.pop_front()
        {
            self.bytes -= oldest.size();
            if oldest.is_ours() {
                self.bytes_of_ours += oldest.size();
                self.ours.push_back(oldest);
            } else {
                self.lost += 1;
            }
        }
        while self.bytes_of_ours > MOST_OF_OURS
            && let Some(oldest) = self.ours.pop_front()
        {
            self.bytes_of_ours -= oldest.size();
            self.lost += 1;
        }
    }

    /// The oldest item, and the number of items dropped before it.
    fn pop(&mut self) -> Option<(Item, usize)> {
        if let Some(item) = self.ours.pop_front() {
            self.bytes_of_ours -= item.size();
            // What was lost is told before the first one of the rest.
            return Some((item, 0));
        }
        let item = self.items.pop_front()?;
        self.bytes -= item.size();
        Some((item, std::mem::take(&mut self.lost)))
    }

    /// The oldest item, and the lines that follow it if it is one.
    fn pop_batch(&mut self) -> Option<Batch> {
        let (first, lost) = self.pop()?;
        let mut bytes = first.size();
        let Item::Line(first) = first else {
            let items = Items::Other(first);
            return Some(Batch { lost, items });
        };
        let mut lines = vec![first];
        while bytes < AT_ONCE && self.lost_before_next() == 0 {
            let Some(Item::Line(_)) = self.ours.front().or(self.items.front()) else {
                break;
            };
            if let Some((Item::Line(line), _)) = self.pop() {
                bytes += line.len() + size_of::<Item>();
                lines.push(line);
            }
        }
        let items = Items::Lines(lines);
        Some(Batch { lost, items })
    }

    /// Number of items that were dropped before the next one, and that are to be told of before it.
    fn lost_before_next(&self) -> usize {
        match self.ours.is_empty() {
            true => self.lost,
            false => 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.items.is_empty()
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
        let is_waited_for = queue.is_empty();
        queue.push(item);
        drop(queue);
        // Each notification is a system call, even if nobody waits.
        if is_waited_for {
            self.0.changed.notify_all();
        }
    }

    /// Waits until all is shown, and no longer than `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.0.queue();
        while queue.is_busy || !queue.is_empty() {
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
        let batch = {
            let mut queue = shared.queue();
            queue.is_busy = false;
            loop {
                if let Some(batch) = queue.pop_batch() {
                    queue.is_busy = true;
                    break batch;
                }
                // Somebody may wait for the end.
                shared.changed.notify_all();
                let woken = shared.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
            }
        };
        batch.show(screen);
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
        queued.line(&"generation 1 serves".into());
        for line in 0..LINES {
            queued.line(&Line::in_colour(format!("line {line:>40}")));
        }
        queued.line(&"panicked".into());
        assert!(queued.0.queue().bytes <= MOST);
        queued.finish(Duration::from_millis(1));
        for _ in 0..LINES + 3 {
            allow.send(()).unwrap();
        }
        let mut last = String::new();
        let (mut count, mut told, mut is_served) = (0, false, false);
        while last != "panicked" {
            last = seen.recv_timeout(Duration::from_secs(60)).unwrap();
            count += 1;
            told |= last.contains("are not shown");
            is_served |= last.contains("serves");
        }
        assert!(told && is_served && count < LINES);
        queued.finish(Duration::from_secs(60));
        assert!(queued.0.queue().is_empty());
    }

    #[test]
    fn our_own_words_are_bounded_too() {
        let mut queue = Queue::default();
        for number in 0..200_000 {
            queue.push(Item::Line(format!("{number:>100}").into()));
        }
        assert!(queue.bytes <= MOST && queue.bytes_of_ours <= MOST_OF_OURS);
        let (mut kept, mut before) = (0, None);
        while let Some((Item::Line(line), lost)) = queue.pop() {
            kept += lost + 1;
            assert!(before < Some(line.to_string()));
            before = Some(line.to_string());
        }
        assert_eq!((kept, queue.bytes, queue.bytes_of_ours), (200_000, 0, 0));
    }

    #[test]
    fn lines_that_are_there_at_once_are_shown_at_once_and_all_else_in_its_place() {
        let mut queue = Queue::default();
        let line = |number: usize| Item::Line(format!("{number:>100}").into());
        for number in 0..1000 {
            queue.push(line(number));
        }
        queue.push(Item::Bytes(vec![b'x']));
        queue.push(line(1000));
        let mut batches = Vec::new();
        while let Some(batch) = queue.pop_batch() {
            assert_eq!(batch.lost, 0);
            batches.push(match batch.items {
                Items::Lines(lines) => lines.len(),
                Items::Other(_) => 0,
            });
        }
        let (lines, rest) = batches.split_at(batches.len() - 2);
        assert!(lines.len() > 1 && lines.len() < 10, "{batches:?}");
        assert_eq!((lines.iter().sum::<usize>(), rest), (1000, &[0, 1][..]));
        // What was lost is told where it is missing: after our own lines, which are older, and before the others.
        queue.push(line(0));
        for _ in 0..20_000 {
            queue.push(Item::Line(Line::in_colour("x".repeat(100))));
        }
        let first = queue.pop_batch().unwrap();
        assert!(
            matches!(&first.items, Items::Lines(lines) if lines.len() == 1),
            "{first:?}"
        );
        assert_eq!(first.lost, 0);
        assert!(queue.pop_batch().unwrap().lost > 0);
    }
}
