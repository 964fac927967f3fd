//! Key of an app's digests. A release's digest covers its secrets; without the key, nobody can check a guess of a secret.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Store, atomic_write, write::PRIVATE};

/// A key.
pub(crate) type Key = [u8; blake3::KEY_LEN];

const FILE: &str = "digest.key";

impl Store {
    /// The key of this app, made at the first use. It lasts as long as the releases: the same build has the same digest.
    ///
    /// # Errors
    /// When it can be kept nowhere.
    pub(crate) fn digest_key(&self) -> io::Result<Key> {
        let places = self.key_places();
        if let Some(key) = self.kept_digest_key() {
            return Ok(key);
        }
        let mut key = Key::default();
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let [lasting, until_reboot] = &places;
        make(lasting, &key).or_else(|_| make(until_reboot, &key))
    }

    /// The same, if it exists and may be read.
    pub(crate) fn kept_digest_key(&self) -> Option<Key> {
        self.key_places().iter().find_map(|place| read(place))
    }

    fn key_places(&self) -> [PathBuf; 2] {
        [self.state.join(FILE), self.run.join(FILE)]
    }
}

fn read(path: &Path) -> Option<Key> {
    fs::read(path).ok()?.try_into().ok()
}

/// The key that exists afterwards: another process may have been faster.
fn make(path: &Path, key: &Key) -> io::Result<Key> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(&super::write::prefix(path))
        .tempfile_in(directory)?;
    file.write_all(key)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(*key),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => match read(path) {
            Some(there) => Ok(there),
            // Truncated by a full disk, long ago.
            None => atomic_write(path, key, PRIVATE).map(|()| *key),
        },
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn each_installation_has_its_own_and_keeps_it() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = Store::below(one.path()).digest_key().unwrap();
        assert_eq!(Store::below(one.path()).digest_key().unwrap(), key);
        assert_ne!(Store::below(other.path()).digest_key().unwrap(), key);
        let file = one.path().join("state").join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, PRIVATE);
        fs::write(&file, "short").unwrap();
        let new = Store::below(one.path()).digest_key().unwrap();
        assert_eq!(Store::below(one.path()).digest_key().unwrap(), new);
    }

    #[test]
    fn where_nothing_lasts_it_lives_with_the_boot() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        fs::remove_dir_all(root.path().join("state")).unwrap();
        let key = store.digest_key().unwrap();
        assert_eq!(store.digest_key().unwrap(), key);
        assert!(root.path().join("run").join(FILE).exists());
    }

    #[test]
    fn of_several_that_make_it_all_get_the_same() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        let keys: Vec<_> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| store.digest_key().unwrap()))
                .collect();
            made.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
