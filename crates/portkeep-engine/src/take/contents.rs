//! The contents of large files: digested by all processors, and copied meanwhile where they are to be copied.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use blake3::Hash;

/// What one thread digests at a time. A file is digested as the list of the digests of its parts, so that several can be
/// computed at once.
const PART: u64 = 8 << 20;

/// Adds the contents of a file to `hasher`.
///
/// # Errors
/// When it cannot be read.
pub(super) fn digest(path: &Path, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let file = File::open(path)?;
    let count = file.metadata()?.len().div_ceil(PART);
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let next = AtomicU64::new(0);
    let work = || {
        let mut digests = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= count {
                return io::Result::Ok(digests);
            }
            digests.push((part, digest_of_part(&file, part)?));
        }
    };
    let digests = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(work)).collect();
        let mut digests = work()?;
        for other in others {
            match other.join() {
                Ok(more) => digests.extend(more?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        io::Result::Ok(digests)
    });
    let mut digests = digests?;
    digests.sort_unstable_by_key(|(part, _)| *part);
    add(digests.into_iter().map(|(_, digest)| digest), hasher);
    Ok(())
}

/// Copies `from` to `to`, sharing its blocks where the file system can, and adds the contents of the copy to `hasher`: what is
/// named by the digest is what will run.
///
/// # Errors
/// When one of them cannot be read or written; `to` may be there in part.
pub(super) fn copy_and_digest(
    from: &Path,
    to: &Path,
    hasher: &mut blake3::Hasher,
) -> io::Result<()> {
    if reflink_copy::reflink(from, to).is_ok() {
        File::open(to)?.set_permissions(PermissionsExt::from_mode(0o755))?;
        return digest(to, hasher);
    }
    let source = File::open(from)?;
    let copy = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)?;
    copy.set_permissions(PermissionsExt::from_mode(0o755))?;
    let (copied, parts) = channel();
    let digests = thread::scope(|scope| {
        let copying = scope.spawn(|| copy_parts(&source, &copy, copied));
        let digests = parts.iter().map(|part| digest_of_part(&copy, part));
        let digests: io::Result<Vec<_>> = digests.collect();
        match copying.join() {
            Ok(result) => result.and(digests),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    add(digests?, hasher);
    Ok(())
}

/// The kernel does the copying, part after part.
fn copy_parts(from: &File, mut to: &File, copied: Sender<u64>) -> io::Result<()> {
    for part in 0.. {
        let size = io::copy(&mut from.take(PART), &mut to)?;
        if size > 0 && copied.send(part).is_err() {
            // Who digests has met an error, and tells it.
            return Ok(());
        }
        if size < PART {
            return Ok(());
        }
    }
    Ok(())
}

fn digest_of_part(file: &File, part: u64) -> io::Result<Hash> {
    let mut reader = At {
        file,
        offset: part * PART,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&mut reader).take(PART))?;
    Ok(hasher.finalize())
}

/// Reads from a place of its own: several threads read one file.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

fn add(digests: impl IntoIterator<Item = Hash>, hasher: &mut blake3::Hasher) {
    let mut count = 0_u64;
    for digest in digests {
        hasher.update(digest.as_bytes());
        count += 1;
    }
    // So that no two lists of files read the same.
    hasher.update(&count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn digest_of(path: &Path) -> Hash {
        let mut hasher = blake3::Hasher::new();
        digest(path, &mut hasher).unwrap();
        hasher.finalize()
    }

    #[test]
    fn a_copy_has_the_digest_of_the_original_whatever_its_size() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let part = usize::try_from(PART).unwrap();
        let mut seen = Vec::new();
        for size in [0, 1, part - 1, part, part + 1, 3 * part + 7] {
            let contents: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            fs::write(&from, &contents).unwrap();
            let mut hasher = blake3::Hasher::new();
            copy_and_digest(&from, &to, &mut hasher).unwrap();
            assert!(fs::read(&to).unwrap() == contents, "{size} bytes");
            let mode = fs::metadata(&to).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
            let digest = hasher.finalize();
            assert_eq!(digest, digest_of(&from), "{size} bytes");
            assert!(!seen.contains(&digest), "{size} bytes");
            seen.push(digest);
        }
    }

    #[test]
    fn every_byte_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let part = usize::try_from(PART).unwrap();
        let mut contents = vec![0; 2 * part + 5];
        fs::write(&path, &contents).unwrap();
        let before = digest_of(&path);
        for at in [0, part - 1, part, 2 * part, 2 * part + 4] {
            contents[at] = 1;
            fs::write(&path, &contents).unwrap();
            assert_ne!(digest_of(&path), before, "byte {at}");
            contents[at] = 0;
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let mut hasher = blake3::Hasher::new();
        assert!(copy_and_digest(&from, &to, &mut hasher).is_err());
        assert!(digest(&from, &mut hasher).is_err());
        fs::write(&from, "x").unwrap();
        let nowhere = directory.path().join("no/where");
        assert!(copy_and_digest(&from, &nowhere, &mut hasher).is_err());
    }
}
