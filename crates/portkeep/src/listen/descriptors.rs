//! Turns the number of a passed descriptor into a descriptor, and does nothing else.

#![allow(
    unsafe_code,
    reason = "a process is told the numbers of its passed descriptors and nothing else"
)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Takes a passed descriptor, and closes it in children.
///
/// Only for numbers that `LISTEN_FDS` names for this process, and once for each: then nobody else owns them.
///
/// # Errors
/// When no descriptor of this number is open.
pub(super) fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is borrowed for two system calls, which fail if it is not open.
    let passed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(passed)?;
    fcntl_setfd(passed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and whoever started this process left it to the caller, who comes once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The inode of this process's pidfd, which no other process of this boot has; `None` where the kernel has no such (before
/// 6.9).
#[cfg(target_os = "linux")]
pub(super) fn own_pidfd_inode() -> Option<u64> {
    use rustix::fs::{fstat, fstatfs};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    /// `PID_FS_MAGIC`: elsewhere all pidfds have the same inode.
    const PIDFS: u64 = 0x5049_4446;

    let own = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let is_pidfs = u64::try_from(fstatfs(&own).ok()?.f_type).ok()? == PIDFS;
    is_pidfs.then(|| fstat(&own).ok().map(|status| status.st_ino))?
}

#[cfg(not(target_os = "linux"))]
pub(super) fn own_pidfd_inode() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn whatever_is_taken_is_kept_from_children() {
        let (reader, _writer) = pipe_with(PipeFlags::empty()).unwrap();
        assert_eq!(fcntl_getfd(&reader).unwrap(), FdFlags::empty());
        let number = reader.into_raw_fd();
        let taken = take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert_eq!(fcntl_getfd(&taken).unwrap(), FdFlags::CLOEXEC);
    }

    #[test]
    fn what_is_not_open_cannot_be_taken() {
        assert!(take(65_535).is_err());
    }
}
