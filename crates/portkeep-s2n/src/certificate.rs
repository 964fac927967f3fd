//! Reads certificates and keys, and checks whether they are valid now.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use portkeep::BoxError;
use rustix::fs::{Mode, OFlags};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use zeroize::Zeroizing;

use crate::Error;

/// Longer than any chain.
const LONGEST: u64 = 1024 * 1024;
/// How long before the end of a certificate warnings begin.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// The contents of a file, wiped when they are dropped.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_file(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Opening a FIFO would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > LONGEST {
        return Err(io::Error::other("it is longer than a MiB"));
    }
    // Room for all of it, and for the read that finds the end: a buffer that grows leaves copies behind.
    let room = usize::try_from(metadata.len()).map_err(io::Error::other)? + 64;
    let mut contents = Zeroizing::new(Vec::with_capacity(room));
    file.take(LONGEST).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Whether a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    /// It is valid for this long.
    Soon(Duration),
    NotYet,
    Expired,
}

fn judge(from: SystemTime, until: SystemTime, now: SystemTime) -> Validity {
    if now < from {
        return Validity::NotYet;
    }
    match until.duration_since(now) {
        Err(_) => Validity::Expired,
        Ok(left) if left < SOON => Validity::Soon(left),
        Ok(_) => Validity::Valid,
    }
}

/// The first certificate in it.
fn first(pem: &[u8]) -> Result<Certificate, BoxError> {
    let leaf = CertificateDer::from_pem_slice(pem)?;
    Ok(Certificate::from_der(&leaf)?)
}

/// Fails if the first certificate is not valid, unless that is accepted; warns of its approaching end.
pub(crate) fn check(path: &Path, pem: &[u8], accepts_expired: bool) -> Result<(), Error> {
    let leaf = first(pem).map_err(|source| Error::NoCertificate {
        path: path.to_owned(),
        source,
    })?;
    let validity = &leaf.tbs_certificate.validity;
    let (from, until) = (&validity.not_before, &validity.not_after);
    let now = SystemTime::now();
    let error = match judge(from.to_system_time(), until.to_system_time(), now) {
        Validity::Valid => return Ok(()),
        Validity::Soon(left) => {
            let days = left.as_secs() / (24 * 3600);
            tracing::warn!(certificate = %path.display(), %until, days, "the certificate expires soon");
            return Ok(());
        }
        Validity::NotYet => Error::NotYet {
            path: path.to_owned(),
            from: from.to_string(),
            now: x509_cert::der::DateTime::from_system_time(now)
                .map_or_else(|_| "unknown".to_owned(), |now| now.to_string()),
        },
        Validity::Expired => Error::Expired {
            path: path.to_owned(),
            since: until.to_string(),
        },
    };
    if accepts_expired {
        tracing::warn!(%error, "clients will not believe in it");
        return Ok(());
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_its_time() {
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 3600);
        let at = |now| judge(day(100), day(200), day(now));
        assert_eq!(at(99), Validity::NotYet);
        assert_eq!(at(100), Validity::Valid);
        assert_eq!(at(150), Validity::Valid);
        assert_eq!(at(190), Validity::Soon(Duration::from_secs(10 * 24 * 3600)));
        assert_eq!(at(200), Validity::Soon(Duration::ZERO));
        assert_eq!(at(201), Validity::Expired);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for path in [&fifo, directory.path(), Path::new("/dev/zero")] {
            assert!(matches!(read(path), Err(Error::Read { .. })), "{path:?}");
        }
    }
}
