//! Contents of large files: all processors digest them, while they are copied if necessary.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use blake3::Hash;
use rustix::fs::fstatvfs;
use rustix::io::Errno;

use super::clock::Clock;

/// Size of the parts that threads digest. A file's digest is that of the list of its parts' digests, so that several
/// threads can work on one file.
const PART: u64 = 8 << 20;

/// Adds `size` bytes of a file to `hasher`.
///
/// # Errors
/// When the file cannot be read, or the time is over.
pub(super) fn digest(
    file: &File,
    size: u64,
    clock: Clock,
    hasher: &mut blake3::Hasher,
) -> io::Result<()> {
    let count = size.div_ceil(PART);
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let next = AtomicU64::new(0);
    let work = || {
        let mut digests = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= count {
                return io::Result::Ok(digests);
            }
            in_time(clock)?;
            digests.push((part, digest_of_part(file, part, size)?));
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

/// Copies `size` bytes of `from` to the empty file `to`, and adds the contents of the copy to `hasher`, so that the digest
/// is that of the file that will run. The copy shares blocks if the file system can. Holes stay holes.
///
/// # Errors
/// When a file cannot be read or written, the disk is full, or the time is over. Then `to` may hold a part.
pub(super) fn copy_and_digest(
    from: &File,
    to: &File,
    size: u64,
    clock: Clock,
    hasher: &mut blake3::Hasher,
) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return digest(to, to.metadata()?.len().min(size), clock, hasher);
    }
    has_space(from, to)?;
    to.set_len(size)?;
    let (copied, parts) = channel();
    if size <= PART {
        // Releases may bring thousands of small files: starting a thread for each would take longer than copying it.
        copy_parts(from, to, size, clock, copied)?;
        let digests = parts.iter().map(|part| digest_of_part(to, part, size));
        add(digests.collect::<io::Result<Vec<_>>>()?, hasher);
        return Ok(());
    }
    let digests = thread::scope(|scope| {
        let copying = scope.spawn(|| copy_parts(from, to, size, clock, copied));
        let digests = parts.iter().map(|part| digest_of_part(to, part, size));
        let digests: io::Result<Vec<_>> = digests.collect();
        match copying.join() {
            Ok(result) => result.and(digests),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    add(digests?, hasher);
    Ok(())
}

fn in_time(clock: Clock) -> io::Result<()> {
    if clock.is_over() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

/// Whether the disk of `to` has room for the allocated blocks of `from`.
fn has_space(from: &File, to: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let needed = from.metadata()?.blocks() * 512;
    // If the file system does not know, it is not asked again.
    let Ok(disk) = fstatvfs(to) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if needed <= free {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!(
            "no space left on the disk: it needs {} MiB, and {} MiB are free",
            needed.div_ceil(1 << 20),
            free >> 20
        ),
    ))
}

/// The kernel copies, part by part, and skips holes.
fn copy_parts(
    mut from: &File,
    mut to: &File,
    size: u64,
    clock: Clock,
    copied: Sender<u64>,
) -> io::Result<()> {
    for part in 0..size.div_ceil(PART) {
        in_time(clock)?;
        let start = part * PART;
        if has_data(from, start, PART)? {
            from.seek(SeekFrom::Start(start))?;
            to.seek(SeekFrom::Start(start))?;
            io::copy(&mut from.take(PART.min(size - start)), &mut to)?;
        }
        if copied.send(part).is_err() {
            // The digesting thread has met an error, and reports it.
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the file has data there, and not only a hole.
fn has_data(file: &File, start: u64, length: u64) -> io::Result<bool> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(start)) {
        Ok(data) => Ok(data < start + length),
        // Only a hole up to the end.
        Err(Errno::NXIO) => Ok(false),
        // The file system does not say.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn digest_of_part(file: &File, part: u64, size: u64) -> io::Result<Hash> {
    let mut reader = PositionedRead {
        file,
        offset: part * PART,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&mut reader).take(PART.min(size - part * PART)))?;
    Ok(hasher.finalize())
}

/// Reads at its own position: several threads read one file.
struct PositionedRead<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for PositionedRead<'_> {
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
    // So that two different lists of files never have the same input.
    hasher.update(&count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn clock() -> Clock {
        Clock::of(Duration::from_secs(600))
    }

    fn digest_of(path: &Path) -> Hash {
        let mut hasher = blake3::Hasher::new();
        let file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        digest(&file, size, clock(), &mut hasher).unwrap();
        hasher.finalize()
    }

    fn copy(from: &Path, to: &Path) -> Hash {
        let mut hasher = blake3::Hasher::new();
        let from = File::open(from).unwrap();
        let to = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(to)
            .unwrap();
        let size = from.metadata().unwrap().len();
        copy_and_digest(&from, &to, size, clock(), &mut hasher).unwrap();
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
            let digest = copy(&from, &to);
            assert!(fs::read(&to).unwrap() == contents, "{size} bytes");
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
    fn holes_stay_holes_and_what_is_between_them_is_copied() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let file = File::create(&from).unwrap();
        file.set_len(40 * PART).unwrap();
        file.write_all_at(b"data", 20 * PART + 3).unwrap();
        assert_eq!(copy(&from, &to), digest_of(&from));
        let (from, to) = (fs::metadata(&from).unwrap(), fs::metadata(&to).unwrap());
        assert_eq!(from.len(), to.len());
        assert!(to.blocks() * 512 <= 2 * PART, "{} blocks", to.blocks());
    }

    #[test]
    fn a_time_that_is_over_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::write(&from, "x").unwrap();
        let (from, to) = (File::open(&from).unwrap(), File::create_new(&to).unwrap());
        let over = Clock::of(Duration::ZERO);
        let mut hasher = blake3::Hasher::new();
        for result in [
            digest(&from, 1, over, &mut hasher),
            copy_parts(&from, &to, 1, over, channel().0),
        ] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[test]
    fn what_grows_meanwhile_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::write(&from, "one, and more").unwrap();
        let opened = File::open(&from).unwrap();
        let copy = File::create_new(&to).unwrap();
        copy_parts(&opened, &copy, 3, clock(), channel().0).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"one");
    }
}
