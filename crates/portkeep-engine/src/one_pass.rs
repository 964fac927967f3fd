//! Digests a file while it is copied: each byte is read once, and the digest is that of the bytes that were written.
//!
//! A build with its debug information has some hundred megabytes, and whoever saved a file waits for all of this.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

/// Large enough that the file system works in large pieces, small enough that a piece is digested from the cache.
const PIECE: usize = 512 * 1024;
/// How many pieces may wait to be digested.
const AHEAD: usize = 4;

/// Copies `source` to the new file `copy`, and digests what is written.
pub(crate) fn copy_and_digest(
    source: &Path,
    copy: &Path,
    hasher: &mut blake3::Hasher,
) -> io::Result<()> {
    let mut copy = File::create_new(copy)?;
    pass(File::open(source)?, hasher, |piece| copy.write_all(piece))
}

/// Digests the contents of a file.
pub(crate) fn digest_file(path: &Path, hasher: &mut blake3::Hasher) -> io::Result<()> {
    pass(File::open(path)?, hasher, |_| Ok(()))
}

/// Reads to the end and writes each piece, while another thread digests the pieces before it.
fn pass(
    mut source: impl Read,
    hasher: &mut blake3::Hasher,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (written, to_digest) = mpsc::sync_channel::<Vec<u8>>(AHEAD);
    let (digested, free) = mpsc::channel::<Vec<u8>>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for piece in to_digest {
                hasher.update(&piece);
                // The reader may be at the end.
                let _ = digested.send(piece);
            }
        });
        // Moved in, so that it is dropped at the end, which is how the other thread hears of it.
        let written = written;
        loop {
            let mut piece = free.try_recv().unwrap_or_default();
            piece.clear();
            source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            write(&piece)?;
            written
                .send(piece)
                .map_err(|_| io::Error::other("the thread that digests has ended"))?;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a little more each time it is read.
    struct Drops(Vec<u8>, usize);

    impl Read for Drops {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[test]
    fn the_copy_is_the_source_and_the_digest_is_that_of_the_copy() {
        let directory = tempfile::tempdir().unwrap();
        for size in [0, 1, PIECE - 1, PIECE, PIECE * (AHEAD + 3) + 7] {
            let (source, copy) = (
                directory.path().join("source"),
                directory.path().join(format!("copy-{size}")),
            );
            std::fs::write(&source, bytes(size)).unwrap();
            let mut hasher = blake3::Hasher::new();
            copy_and_digest(&source, &copy, &mut hasher).unwrap();
            assert!(std::fs::read(&copy).unwrap() == bytes(size), "{size} bytes");
            assert_eq!(hasher.finalize(), blake3::hash(&bytes(size)));
            let mut again = blake3::Hasher::new();
            digest_file(&source, &mut again).unwrap();
            assert_eq!(again.finalize(), hasher.finalize());
        }
    }

    #[test]
    fn what_comes_in_drops_is_the_same() {
        let mut hasher = blake3::Hasher::new();
        let mut copy = Vec::new();
        pass(Drops(bytes(PIECE * 2), 0), &mut hasher, |piece| {
            copy.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        assert!(copy == bytes(PIECE * 2));
        assert_eq!(hasher.finalize(), blake3::hash(&copy));
    }

    #[test]
    fn a_disk_that_is_full_is_told() {
        let mut hasher = blake3::Hasher::new();
        let full = |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
        let told = pass(&bytes(PIECE * 9)[..], &mut hasher, full).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::StorageFull);
    }
}
