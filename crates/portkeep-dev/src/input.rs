//! Standard input: passed to the app if `--stdin` says so, else watched for its end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::mpsc;

use super::options::Input;

/// Relay of standard input to the newest generation. A clone is the same relay.
#[derive(Debug, Clone, Default)]
pub(crate) struct InputRelay(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    readers: Mutex<Readers>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Readers {
    /// Our ends of the pipes, the newest generation's last.
    pipes: Vec<Arc<File>>,
    /// Standard input has ended.
    is_over: bool,
}

impl InputRelay {
    fn readers(&self) -> MutexGuard<'_, Readers> {
        let readers = self.0.readers.lock();
        readers.unwrap_or_else(PoisonError::into_inner)
    }

    /// Standard input for a generation that is about to start. It ends when ours does.
    pub(crate) fn pipe(&self) -> io::Result<OwnedFd> {
        let (read, write) = io::pipe()?;
        let mut readers = self.readers();
        if !readers.is_over {
            readers
                .pipes
                .push(Arc::new(File::from(OwnedFd::from(write))));
        }
        drop(readers);
        self.0.changed.notify_all();
        Ok(read.into())
    }

    /// Passes bytes to the newest generation that still reads; waits for one.
    fn push(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let newest = {
                let mut readers = self.readers();
                loop {
                    if let Some(newest) = readers.pipes.last() {
                        break newest.clone();
                    }
                    let woken = self.0.changed.wait(readers);
                    readers = woken.unwrap_or_else(PoisonError::into_inner);
                }
            };
            match (&*newest).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It is gone, or has closed the pipe: the one before may still serve.
                Err(_) => self
                    .readers()
                    .pipes
                    .retain(|one| !Arc::ptr_eq(one, &newest)),
            }
        }
    }

    fn end(&self) {
        let mut readers = self.readers();
        readers.is_over = true;
        readers.pipes.clear();
    }
}

/// Reads `from` to its end, in a thread of its own that ends with the process, because a read cannot be cancelled.
pub(crate) fn read(
    mut from: impl Read + Send + 'static,
    input: Input,
    end: mpsc::UnboundedSender<()>,
) -> Option<InputRelay> {
    let feed = input.is_for_the_app.then(InputRelay::default);
    if !input.is_for_the_app && !input.ends_us {
        return None;
    }
    let fed = feed.clone();
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        loop {
            match from.read(&mut bytes) {
                Ok(count @ 1..) => {
                    if let Some(feed) = &fed {
                        feed.push(&bytes[..count]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        if let Some(feed) = &fed {
            feed.end();
        }
        if input.ends_us {
            // Nobody listens any more: we are ending.
            let _ = end.send(());
        }
    });
    feed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_some(from: &OwnedFd) -> String {
        let mut bytes = [0; 64];
        let count = rustix::io::read(from, &mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[tokio::test]
    async fn the_newest_reads_the_one_before_reads_on_when_that_is_gone_and_all_see_the_end() {
        let (ours, mut typed) = io::pipe().unwrap();
        let (sender, mut end) = mpsc::unbounded_channel();
        let input = Input {
            is_for_the_app: true,
            ends_us: true,
        };
        let feed = read(ours, input, sender).unwrap();
        // What comes before the first generation waits for it.
        typed.write_all(b"early").unwrap();
        let first = feed.pipe().unwrap();
        assert_eq!(read_some(&first), "early");
        let second = feed.pipe().unwrap();
        typed.write_all(b"two").unwrap();
        assert_eq!(read_some(&second), "two");
        drop(second);
        typed.write_all(b"one").unwrap();
        assert_eq!(read_some(&first), "one");
        drop(typed);
        assert_eq!(read_some(&first), "");
        assert_eq!(end.recv().await, Some(()));
        assert_eq!(read_some(&feed.pipe().unwrap()), "");
    }

    #[test]
    fn what_nobody_asked_for_is_not_read() {
        let (sender, _) = mpsc::unbounded_channel();
        assert!(read(io::empty(), Input::default(), sender).is_none());
    }
}
