//! What can be wrong with what TLS is set up from.

use std::io;
use std::path::PathBuf;

/// Why TLS cannot be set up. Keys are never in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
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
    /// There is no certificate in the file, or not as PEM.
    #[error("there is no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: portkeep::BoxError,
    },
    /// The certificate is not valid any more.
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
        /// What this machine takes for the time.
        now: String,
    },
    /// s2n-tls does not take them.
    #[error("the certificate in {} and the key in {} cannot be used together", certificate.display(), key.display())]
    DoNotFit {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What s2n-tls says.
        source: s2n_tls::error::Error,
    },
    /// s2n-tls does not take another setting.
    #[error("s2n-tls does not take {what}")]
    Setting {
        /// Which one.
        what: &'static str,
        /// What s2n-tls says.
        source: s2n_tls::error::Error,
    },
}
