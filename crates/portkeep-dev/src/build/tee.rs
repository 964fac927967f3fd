//! Pipe that relays a command's output. If our output is a terminal, the command sees one as well: cargo then shows its
//! progress and its colours, and the output can still be kept.

use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::streams;

/// The command's end and ours.
pub(super) fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    if streams::stderr().is_terminal() {
        // If there is no pseudo-terminal, a pipe does as well.
        if let Ok(both) = terminal() {
            return Ok(both);
        }
    }
    let (ours, theirs) = io::pipe()?;
    Ok((theirs.into(), ours.into()))
}

fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(&*name, flags, Mode::empty())?;
    tcsetwinsize(&theirs, tcgetwinsize(streams::stderr())?)?;
    // Our own terminal ends the lines.
    let mut settings = tcgetattr(&theirs)?;
    settings.output_modes -= rustix::termios::OutputModes::OPOST;
    tcsetattr(&theirs, OptionalActions::Now, &settings)?;
    Ok((theirs, ours))
}
