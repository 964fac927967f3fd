//! Errors of TLS settings.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why TLS cannot be set up. It never contains keys.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The service manager has passed no credentials.
    #[error(
        "CREDENTIALS_DIRECTORY is not set: name {name} in `credentials` of portkeep.json, or LoadCredential= of the unit"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The file has no certificate in PEM.
    #[error("there is no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: portkeep::BoxError,
    },
    /// The certificate has expired.
    #[error("the certificate in {} has expired {since}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Its last moment, in UTC.
        since: String,
    },
    /// The certificate is not valid yet.
    #[error("the certificate in {} is not valid before {from}; it is {now}: is the clock right?", path.display())]
    NotYet {
        /// The file.
        path: PathBuf,
        /// Its first moment, in UTC.
        from: String,
        /// This machine's time.
        now: String,
    },
    /// s2n-tls refuses the certificate or the key.
    #[error("the certificate in {} and the key in {} cannot be used together", certificate.display(), key.display())]
    DoNotFit {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The error of s2n-tls.
        source: s2n_tls::error::Error,
    },
    /// s2n-tls refuses another setting.
    #[error("s2n-tls does not take {what}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// The error of s2n-tls.
        source: s2n_tls::error::Error,
    },
}

/// The sentence with those of its causes: `fn main() -> Result<(), portkeep::BoxError>` shows an error by `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(one) = cause {
            write!(f, ": {one}")?;
            cause = one.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_prints_it_reads_sentences() {
        let error = Error::Read {
            path: "/run/tls.key".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        let told = format!("{error:?}");
        assert_eq!(told, "cannot read /run/tls.key: entity not found");
    }
}
