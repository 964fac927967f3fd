//! Keys of the terminal.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use crate::event::Key;
use crate::streams;

fn key(byte: u8) -> Option<Key> {
    Some(match byte.to_ascii_lowercase() {
        b'r' => Key::Reload,
        b'b' => Key::Rebuild,
        b'o' => Key::Open,
        b'l' => Key::Level,
        b'q' => Key::Quit,
        b'h' | b'?' => Key::Help,
        _ => return None,
    })
}

/// Reads keys of the terminal until it is dropped; then the terminal is as it was.
#[derive(Debug)]
pub(crate) struct Keys {
    pressed: mpsc::UnboundedReceiver<Key>,
    before: Option<Termios>,
}

impl Keys {
    /// Keys of no terminal.
    pub(crate) fn none() -> Self {
        let (_, pressed) = mpsc::unbounded_channel();
        let before = None;
        Self { pressed, before }
    }

    /// Reads keys if there is a terminal. Its end is told to `end`.
    pub(crate) fn listen(end: Option<mpsc::UnboundedSender<()>>) -> Self {
        let (sender, pressed) = mpsc::unbounded_channel();
        let is_ours =
            io::stdin().is_terminal() && streams::stdout().is_terminal() && in_foreground();
        let before = is_ours.then(single_keys).flatten();
        if before.is_some() {
            // A read from a terminal cannot be cancelled: the thread ends with the process.
            std::thread::spawn(move || {
                let mut typed = [0; 64];
                while let Ok(count @ 1..) = io::stdin().read(&mut typed) {
                    for key in typed[..count].iter().filter_map(|byte| key(*byte)) {
                        if sender.send(key).is_err() {
                            return;
                        }
                    }
                }
                // Nobody listens any more: we are ending.
                let _ = end.map(|end| end.send(()));
            });
        }
        Self { pressed, before }
    }

    /// Whether keys are read.
    pub(crate) fn are_heard(&self) -> bool {
        self.before.is_some()
    }

    pub(crate) async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// In the background, changing the terminal would stop this process.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Keys come one by one and are not shown. Ctrl-C and the like still work.
fn single_keys() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut settings = before.clone();
    settings.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    tcsetattr(io::stdin(), OptionalActions::Now, &settings).ok()?;
    Some(before)
}
