//! Standard output and standard error, for queries about them. Output goes through the `Screen`.
#![expect(clippy::disallowed_methods, reason = "nothing is written to them here")]

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

pub(crate) fn stdout() -> impl AsFd + IsTerminal {
    io::stdout()
}

pub(crate) fn stderr() -> impl AsFd + IsTerminal {
    io::stderr()
}
