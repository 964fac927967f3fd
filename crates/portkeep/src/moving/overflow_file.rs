//! Unnamed file for bytes that do not fit into a message.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

use super::wire::INLINE;
use crate::Secret;

/// A file with these bytes, if there are too many for a message.
pub(super) fn to_file(parts: &[&[u8]]) -> io::Result<Option<OwnedFd>> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    if total <= INLINE {
        return Ok(None);
    }
    let mut file = File::from(memfd_create("portkeep-unread", MemfdFlags::CLOEXEC)?);
    for part in parts {
        file.write_all(part)?;
    }
    Ok(Some(file.into()))
}

/// Reads from the beginning: the writer's file position is shared.
pub(super) fn from_file(file: OwnedFd, length: usize) -> io::Result<Secret> {
    let mut bytes = vec![0; length];
    let read = File::from(file).read_exact_at(&mut bytes, 0);
    let bytes = Secret::from(bytes);
    read.map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_comes_back() {
        assert!(to_file(&[&[1; INLINE]]).unwrap().is_none());
        let long: Vec<u8> = (0..=INLINE).map(|i| i as u8).collect();
        let halves = [&long[..INLINE / 2], &long[INLINE / 2..]];
        let file = to_file(&halves).unwrap().unwrap();
        assert_eq!(from_file(file, long.len()).unwrap().expose(), long);
        let file = to_file(&halves).unwrap().unwrap();
        assert!(from_file(file, long.len() + 1).is_err());
    }
}
