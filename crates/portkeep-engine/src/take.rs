//! Takes the release that the spec describes now: resolve, refuse, copy, digest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portkeep_spec::{Spec, contract};

use crate::release::{Digest, Identity, Release};
use crate::store::Store;

/// Directories whose files are replaced as a whole or never change: what is run from there is not copied.
const IMMUTABLE: [&str; 8] = [
    "/nix/store",
    "/gnu/store",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/opt",
];

/// How often a file that changes while it is copied is tried again.
const ATTEMPTS: u32 = 50;

/// Why there is no release to take. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// The spec's `exec` is empty.
    #[error("`exec` is empty: name the executable of the app")]
    NoCommand,
    /// There is no such file.
    #[error("the executable {0} does not exist; build it first, or correct `exec` in the spec")]
    Missing(PathBuf),
    /// A bare name is in no directory of `PATH`.
    #[error("no executable `{0}` in PATH ({1}); write its absolute path in `exec`")]
    NotInPath(String, String),
    /// It is a directory, a device or the like.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// The execute bit is missing.
    #[error("{0} is not executable; `chmod +x` it, or correct `exec` in the spec")]
    NotExecutable(PathBuf),
    /// It has no contents.
    #[error("{0} is empty: it is still being written, or its build failed")]
    Empty(PathBuf),
    /// It changed while it was read, again and again.
    #[error("{0} is still being written; the next finished write starts a new attempt")]
    StillBeingWritten(PathBuf),
    /// Reading or copying failed.
    #[error("cannot read or copy {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes what `spec` describes, or answers one of `known` where nothing changed since that was taken.
///
/// # Errors
/// When the executable is missing, not executable or still being written.
pub(crate) fn take(
    spec: &Spec,
    base_environment: &BTreeMap<String, String>,
    store: &Store,
    known: &[Release],
) -> Result<Release, TakeError> {
    let (command, arguments) = spec.exec.split_first().ok_or(TakeError::NoCommand)?;
    let environment = environment(spec, base_environment);

    for _ in 0..ATTEMPTS {
        let source = resolve(command)?;
        let files = inputs(&source, spec.watch.as_deref());
        let identities = identities(&files)?;
        let same = |known: &&Release| known.is_taken_from(&identities, arguments, &environment);
        if let Some(known) = known.iter().find(same) {
            return Ok(known.clone());
        }
        check(&source)?;
        match copy_and_digest(&source, &files, arguments, &environment, store) {
            // Replaced while it was read (a build unlinks its output before it links the new one): look again.
            Err(TakeError::Io { source: error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            }
            Err(error) => return Err(error),
            Ok((digest, executable)) => {
                if self::identities(&files).is_ok_and(|now| now == identities) {
                    let release = Release {
                        digest,
                        source,
                        executable,
                        arguments: arguments.to_vec(),
                        identities,
                        environment,
                    };
                    return Ok(release);
                }
            }
        }
        // A writer is at work; a short pause keeps us from competing with it for the disk.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err(TakeError::StillBeingWritten(PathBuf::from(command)))
}

/// Whether `take` would answer something else than one of `known`. A file that is missing now is no difference: whoever
/// removed it will put another there, and that is a new event.
pub(crate) fn differs(
    spec: &Spec,
    base_environment: &BTreeMap<String, String>,
    known: &[Release],
) -> bool {
    let Some((command, arguments)) = spec.exec.split_first() else {
        return false;
    };
    let environment = environment(spec, base_environment);
    let identities =
        resolve(command).and_then(|source| identities(&inputs(&source, spec.watch.as_deref())));
    identities.is_ok_and(|identities| {
        !known
            .iter()
            .any(|known| known.is_taken_from(&identities, arguments, &environment))
    })
}

/// The spec's own variables win over those that `portkeep dev` was started with. An app on our library is told how long
/// it may drain, so that it reports what it cuts before its manager does the cutting.
fn environment(spec: &Spec, base: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut environment = base.clone();
    environment.extend(spec.environment.clone());
    let drain_timeout = spec.drain_timeout.as_micros().to_string();
    environment.insert(
        contract::PORTKEEP_DRAIN_TIMEOUT_USEC.to_owned(),
        drain_timeout,
    );
    environment
}

/// Where `command` is: a path as it stands, a bare name in `PATH`; symbolic links resolved.
fn resolve(command: &str) -> Result<PathBuf, TakeError> {
    let path = if command.contains('/') {
        PathBuf::from(command)
    } else {
        let search = std::env::var("PATH").unwrap_or_default();
        std::env::split_paths(&search)
            .map(|directory| directory.join(command))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| TakeError::NotInPath(command.to_owned(), search.clone()))?
    };
    match fs::canonicalize(&path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TakeError::Missing(path)),
        Err(source) => Err(TakeError::Io { path, source }),
    }
}

/// The files whose contents make the release: the executable, and the watched file where it is another one
/// (a script that an interpreter runs).
fn inputs(source: &Path, watch: Option<&Path>) -> Vec<PathBuf> {
    let mut files = vec![source.to_owned()];
    if let Some(watched) = watch.and_then(|path| fs::canonicalize(path).ok())
        && watched.is_file()
        && watched != source
    {
        files.push(watched);
    }
    files
}

fn identities(files: &[PathBuf]) -> Result<Vec<Identity>, TakeError> {
    files
        .iter()
        .map(|path| match fs::metadata(path) {
            Ok(metadata) => Ok(Identity::from(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(TakeError::Missing(path.clone()))
            }
            Err(source) => Err(TakeError::Io {
                path: path.clone(),
                source,
            }),
        })
        .collect()
}

fn check(source: &Path) -> Result<(), TakeError> {
    let metadata = fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TakeError::Missing(source.to_owned()),
        _ => TakeError::Io {
            path: source.to_owned(),
            source: error,
        },
    })?;
    if !metadata.is_file() {
        return Err(TakeError::NotAFile(source.to_owned()));
    }
    if metadata.len() == 0 {
        return Err(TakeError::Empty(source.to_owned()));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(TakeError::NotExecutable(source.to_owned()));
    }
    Ok(())
}

/// Digests the release and puts a copy of the executable where no build overwrites it.
fn copy_and_digest(
    source: &Path,
    files: &[PathBuf],
    arguments: &[String],
    environment: &BTreeMap<String, String>,
    store: &Store,
) -> Result<(Digest, PathBuf), TakeError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| TakeError::Io { path, source }
    };
    let immutable = IMMUTABLE
        .iter()
        .any(|directory| source.starts_with(directory));
    // The copy is digested, not the source: what is named is what will run.
    let staged = if immutable {
        None
    } else {
        Some(store.stage_executable(source).map_err(fail(source))?)
    };
    let mut hasher = blake3::Hasher::new();
    hash_file(&mut hasher, staged.as_deref().unwrap_or(source)).map_err(fail(source))?;
    for extra in &files[1..] {
        hash_file(&mut hasher, extra).map_err(fail(extra))?;
    }
    for word in arguments
        .iter()
        .chain(environment.iter().flat_map(|(key, value)| [key, value]))
    {
        hasher.update(&(word.len() as u64).to_le_bytes());
        hasher.update(word.as_bytes());
    }
    let digest = Digest(hasher.finalize().to_hex()[..32].to_owned());
    let executable = match staged {
        None => source.to_owned(),
        Some(staged) => {
            let name = source.file_name().unwrap_or(OsStr::new("app"));
            store
                .keep_executable(&staged, &digest, name)
                .map_err(fail(source))?
        }
    };
    Ok((digest, executable))
}

fn hash_file(hasher: &mut blake3::Hasher, path: &Path) -> io::Result<()> {
    hasher.update_reader(File::open(path)?)?;
    Ok(())
}
