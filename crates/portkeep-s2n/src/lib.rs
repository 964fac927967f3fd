//! TLS by [s2n-tls] for servers on [portkeep]: its connections move to the next generation as plain ones do.
//!
//! ```no_run
//! # async fn example(app: axum::Router) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let tls = portkeep_s2n::Settings::from_credentials("tls.crt", "tls.key").load()?;
//! portkeep::Server::new().transport(tls).serve(app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What moves
//!
//! A connection that is between two requests, or between two streams of HTTP/2, is taken apart: s2n-tls exports its keys and counters (some 170 bytes), and they
//! go to the next generation with the socket, over portkeep's move socket. That one is open to processes of the same user
//! only, each side makes sure of that, and both wipe what they have sent or received. Clients notice nothing; with
//! TLS 1.3 the next answer comes under a new key.
//!
//! A generation refuses a connection that it would not have accepted as it is: one under another [policy](Settings::policy), or
//! under other rules for client certificates. Such a connection stays with the generation before, which ends it in good
//! order; so does one whose client has sent a part of a record and not the rest.
//!
//! # What does not
//!
//! - An HTTP/2 connection with a stream that stays open until the deadline ends by GOAWAY.
//! - What the certificate says: a connection goes on under the one that it began with.
//!
//! # What is read when
//!
//! Each generation reads certificate and key when it calls [`Settings::load`]. If they do not fit, are no certificates or have
//! expired, that fails; the generation does not get ready, and the one before serves on with what it has. Without a handover,
//! [`Tls::reread`] reads them anew; a failure changes nothing.
//!
//! [s2n-tls]: https://docs.rs/s2n-tls
//! [portkeep]: https://docs.rs/portkeep

mod certificate;
mod configs;
mod error;
mod session;
mod settings;
mod state;
mod stream;
mod tls;

pub use error::Error;
pub use session::Session;
pub use settings::{ClientCertificates, Settings};
pub use stream::Stream;
pub use tls::Tls;
