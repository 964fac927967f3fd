//! Unread bytes that are too many for a message travel in a file that has no name.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

use super::wire::INLINE;

/// A file with `unread`, if it takes one.
pub(super) fn to_file(unread: &[u8]) -> io::Result<Option<OwnedFd>> {
    if unread.len() <= INLINE {
        return Ok(None);
    }
    let mut file = File::from(memfd_create("portkeep-unread", MemfdFlags::CLOEXEC)?);
    file.write_all(unread)?;
    Ok(Some(file.into()))
}

/// From the beginning: the place that the writer left is shared.
pub(super) fn from_file(file: OwnedFd, length: usize) -> io::Result<Vec<u8>> {
    let mut unread = vec![0; length];
    File::from(file).read_exact_at(&mut unread, 0)?;
    Ok(unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_comes_back() {
        assert!(to_file(&[1; INLINE]).unwrap().is_none());
        let long: Vec<u8> = (0..=INLINE).map(|i| i as u8).collect();
        let file = to_file(&long).unwrap().unwrap();
        assert_eq!(from_file(file, long.len()).unwrap(), long);
        let file = to_file(&long).unwrap().unwrap();
        assert!(from_file(file, long.len() + 1).is_err());
    }
}
