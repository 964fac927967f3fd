//! Kinds of failed requests, named as the kernel names them.

use std::error::Error;
use std::io::{self, ErrorKind};

use serde::Serialize;

/// Why a request got no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Failure {
    /// Nobody listened.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection ended before or within an answer.
    Closed,
    /// No answer in time.
    TimedOut,
    /// An answer of status 500 or more.
    ServerError,
    /// Anything else: no HTTP, no route to the host.
    Other,
}

/// All kinds, in the order of the report.
pub(crate) const ALL: [Failure; 6] = [
    Failure::Refused,
    Failure::Reset,
    Failure::Closed,
    Failure::TimedOut,
    Failure::ServerError,
    Failure::Other,
];

impl Failure {
    /// Name for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed before an answer",
            Self::TimedOut => "timed out",
            Self::ServerError => "answered 5xx",
            Self::Other => "other",
        }
    }

    /// The kind of an error, by the operating system's error in its chain.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                match io.kind() {
                    ErrorKind::ConnectionRefused | ErrorKind::NotFound => return Self::Refused,
                    ErrorKind::ConnectionReset => return Self::Reset,
                    ErrorKind::TimedOut => return Self::TimedOut,
                    ErrorKind::UnexpectedEof
                    | ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::NotConnected => {
                        return Self::Closed;
                    }
                    // The wrapped error may tell more; `source` would skip it.
                    _ => {
                        if let Some(inner) = io.get_ref() {
                            next = Some(inner);
                            continue;
                        }
                    }
                }
            }
            if let Some(h2) = error.downcast_ref::<h2::Error>() {
                if let Some(io) = h2.get_io() {
                    next = Some(io);
                    continue;
                }
                // The server gave up a stream, or left a connection with open requests.
                return if h2.is_reset() {
                    Self::Reset
                } else {
                    Self::Closed
                };
            }
            next = error.source();
        }
        match error.downcast_ref::<hyper::Error>() {
            Some(hyper)
                if hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed() =>
            {
                Self::Closed
            }
            Some(hyper) if hyper.is_timeout() => Self::TimedOut,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system() {
        for (kind, failure) in [
            (ErrorKind::ConnectionRefused, Failure::Refused),
            (ErrorKind::ConnectionReset, Failure::Reset),
            (ErrorKind::UnexpectedEof, Failure::Closed),
            (ErrorKind::BrokenPipe, Failure::Closed),
            (ErrorKind::TimedOut, Failure::TimedOut),
            (ErrorKind::InvalidData, Failure::Other),
        ] {
            assert_eq!(Failure::of(&io::Error::from(kind)), failure);
            let wrapped = io::Error::other(io::Error::from(kind));
            assert_eq!(Failure::of(&wrapped), failure, "wrapped {kind}");
        }
    }
}
