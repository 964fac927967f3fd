//! Session ticket keys that all generations of an app share: a client that has to connect anew after a handover resumes, without
//! a signature and without the certificates.
//!
//! They are in one file (0600) in the app's runtime or state directory, which only the app's user can enter or write. A key
//! encrypts for [`ROTATION`] and decrypts for as long again; then it is forgotten. Whoever first finds the newest key too old makes
//! another one, under a lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FlockOperation, OFlags, flock};
use tokio_rustls::rustls::server::ProducesTickets;

/// For how long a key encrypts.
const ROTATION: Duration = Duration::from_secs(12 * 3600);
/// How often the file is looked at, and at most for tickets of unknown keys, which anybody can send.
const LOOK: Duration = Duration::from_secs(60);
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(1);

/// When it was made, its name, and the key.
const ENTRY: usize = 8 + NAME + 32;
const NAME: usize = 16;
/// The one that encrypts, those that still decrypt, and one more for a clock that was set.
const MOST: usize = 4;

struct Entry {
    made: u64,
    name: [u8; NAME],
    key: LessSafeKey,
}

struct State {
    /// The newest first.
    entries: Vec<Entry>,
    looked: Instant,
}

/// For `rustls::ServerConfig::ticketer`.
pub(crate) struct SharedKeys {
    directory: PathBuf,
    random: SystemRandom,
    state: Mutex<State>,
}

impl SharedKeys {
    /// Of this directory, which has to belong to the app's user and to be closed to others.
    pub(crate) fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let keys = Self {
            directory: directory.into(),
            random: SystemRandom::new(),
            state: Mutex::new(State {
                entries: Vec::new(),
                looked: Instant::now(),
            }),
        };
        keys.look(&mut keys.state())?;
        Ok(keys)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file, and writes it if its newest key is too old or there is none.
    fn look(&self, state: &mut State) -> io::Result<()> {
        state.looked = Instant::now();
        let lock = open(
            &self.directory.join("ticket-keys.lock"),
            OpenOptions::new().write(true).create(true),
        )?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let path = self.directory.join("ticket-keys");
        let mut bytes = match open(&path, OpenOptions::new().read(true)) {
            Ok(file) => {
                let mut bytes = Vec::with_capacity(MOST * ENTRY + 1);
                file.take((MOST * ENTRY + 1) as u64)
                    .read_to_end(&mut bytes)?;
                bytes
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        if bytes.len() % ENTRY != 0 || bytes.len() > MOST * ENTRY {
            tracing::warn!(path = %path.display(), "these are no ticket keys: new ones are made");
            bytes.clear();
        }
        // Also what was made by a clock that was ahead.
        let young = |made: u64, most: Duration| {
            let age = now.as_secs().abs_diff(made);
            age < most.as_secs()
        };
        let made = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap_or_default());
        let kept: Vec<&[u8]> = bytes
            .chunks_exact(ENTRY)
            .filter(|entry| young(made(entry), 2 * ROTATION))
            .take(MOST - 1)
            .collect();
        let mut all = Vec::with_capacity(MOST * ENTRY);
        if !kept
            .first()
            .is_some_and(|entry| young(made(entry), ROTATION))
        {
            let mut new = [0; ENTRY];
            self.random
                .fill(&mut new[8..])
                .map_err(|_| io::Error::other("no random numbers"))?;
            new[..8].copy_from_slice(&now.as_secs().to_le_bytes());
            all.extend(new);
        }
        kept.iter().for_each(|entry| all.extend(*entry));
        if all != bytes {
            let new = self.directory.join("ticket-keys.new");
            let _ = fs::remove_file(&new);
            open(&new, OpenOptions::new().write(true).create_new(true))?.write_all(&all)?;
            fs::rename(&new, &path)?;
        }
        state.entries = all.chunks_exact(ENTRY).filter_map(Entry::read).collect();
        bytes.fill(0);
        all.fill(0);
        Ok(())
    }

    fn look_after(&self, state: &mut State, pause: Duration) {
        if state.looked.elapsed() >= pause
            && let Err(error) = self.look(state)
        {
            tracing::warn!(%error, "cannot read the ticket keys; those from before are in use");
        }
    }
}

/// What is neither the app's own nor closed to others is not used, and no link is followed.
fn open(path: &std::path::Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = options
        .mode(0o600)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() || !own || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "{} is no file of this user alone (0600)",
            path.display()
        )));
    }
    Ok(file)
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (made, rest) = bytes.split_first_chunk()?;
        let (name, key) = rest.split_first_chunk()?;
        Some(Self {
            made: u64::from_le_bytes(*made),
            name: *name,
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?),
        })
    }
}

impl ProducesTickets for SharedKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(ROTATION.as_secs()).unwrap_or(u32::MAX)
    }

    /// The key's name, a random nonce, and what is encrypted.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.state();
        self.look_after(&mut state, LOOK);
        let entry = state.entries.first()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(entry.name);
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        entry
            .key
            .seal_in_place_append_tag(nonce_used, aad, &mut sealed)
            .ok()?;
        Some([&entry.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let mut state = self.state();
        self.look_after(&mut state, LOOK);
        if !state.entries.iter().any(|entry| entry.name == *name) {
            // Another generation may have made it.
            self.look_after(&mut state, LOOK_FOR_OTHERS);
        }
        let entry = state.entries.iter().find(|entry| entry.name == *name)?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = entry
            .key
            .open_in_place(nonce, Aad::from(entry.name), &mut opened)
            .ok()?;
        Some(plain.to_vec())
    }
}

/// How many there are, and not what they are.
impl std::fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let made: Vec<_> = self
            .state()
            .entries
            .iter()
            .map(|entry| entry.made)
            .collect();
        f.debug_struct("SharedKeys")
            .field("made", &made)
            .finish_non_exhaustive()
    }
}
