//! What is written to the terminal. Whoever has closed it reads no more: that is no reason to end in the middle of
//! something, and to leave behind what we have started.

use std::fmt::Display;
use std::io::Write;

/// A line.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// What the compiler says, as it says it.
pub(super) fn pass_on(text: &str) {
    let _ = write!(anstream::stderr(), "{text}");
}
