//! TLS as portkeep's transport.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;

use http::Extensions;
use portkeep::{Accepted, Parts, Secret, Transport};
use s2n_tls::connection::Builder;
use s2n_tls::enums::{Mode, PeerKeyUpdate, Version};
use s2n_tls_tokio::{TlsAcceptor, TlsStream};
use zeroize::Zeroizing;

use crate::configs::Configs;
use crate::session::{Facts, Session};
use crate::state::{Exported, State};
use crate::stream::Stream;
use crate::{Error, Settings};

/// TLS for [`Server::transport`](portkeep::Server::transport): see [`Settings`]. A clone shares the files that were read.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    configs: RwLock<Arc<Configs>>,
}

impl Settings {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If they cannot be used: see [`Error`].
    pub fn load(self) -> Result<Tls, Error> {
        let configs = Configs::load(&self)?;
        Ok(Tls(Arc::new(Shared {
            settings: self,
            configs: RwLock::new(Arc::new(configs)),
        })))
    }
}

impl Tls {
    /// Reads certificate, key and authorities again, for later connections: for
    /// [`Server::on_hangup`](portkeep::Server::on_hangup). A new generation reads them by itself.
    ///
    /// # Errors
    ///
    /// If they cannot be used; then the earlier ones stay.
    pub fn reread(&self) -> Result<(), Error> {
        let configs = Arc::new(Configs::load(&self.0.settings)?);
        *self
            .0
            .configs
            .write()
            .unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(())
    }

    fn configs(&self) -> Arc<Configs> {
        let configs = self.0.configs.read();
        Arc::clone(&configs.unwrap_or_else(PoisonError::into_inner))
    }

    fn introduces(&self) -> bool {
        self.0.settings.introduces || self.0.settings.clients.is_some()
    }

    fn facts(&self, stream: &TlsStream<Accepted>) -> io::Result<Option<Session>> {
        if !self.introduces() {
            return Ok(None);
        }
        let connection = stream.as_ref();
        let protocol = connection.application_protocol();
        let mut facts = Facts {
            server_name: connection.server_name().map(str::to_owned),
            protocol: protocol.map(|name| String::from_utf8_lossy(name).into_owned()),
            client_certificates: Vec::new(),
        };
        if connection.client_cert_used() {
            let chain = connection.peer_cert_chain()?;
            for certificate in chain.iter() {
                facts.client_certificates.push(certificate?.der()?.to_vec());
            }
        }
        Ok(Some(Session(Arc::new(facts))))
    }
}

impl Transport for Tls {
    type Stream = Stream;

    async fn accept(&self, connection: Accepted) -> io::Result<Stream> {
        let configs = self.configs();
        let acceptor = TlsAcceptor::new(configs.fresh.clone());
        let inner = acceptor.accept(connection).await?;
        let version = inner.as_ref().actual_protocol_version()?;
        Ok(Stream {
            session: self.facts(&inner)?,
            tls13: version == Version::TLS13,
            unread: Vec::new(),
            terms: Arc::clone(&configs.terms),
            inner,
        })
    }

    fn take_apart(&self, mut stream: Stream) -> Result<Parts, Stream> {
        let Some(exported) = export(&mut stream) else {
            return Err(stream);
        };
        // From here on these bytes are the only copy of the keys, and the connection's object must not be used.
        let state = State {
            terms: (*stream.terms).clone(),
            tls13: stream.tls13,
            facts: stream.session.map(|session| (*session.0).clone()),
            exported,
        };
        let (connection, accepted) = stream.inner.into_parts();
        // This sends nothing. `shutdown` would send an unencrypted alert.
        drop(connection);
        Ok(Parts {
            connection: accepted,
            state: Secret::from(state.encode()),
            unread: stream.unread,
        })
    }

    fn reassemble(&self, connection: Accepted, state: Secret) -> io::Result<Stream> {
        let state = State::decode(state.expose())?;
        let configs = self.configs();
        if state.terms != *configs.terms {
            return Err(io::Error::other(
                "it was made under another policy, or other rules for certificates of clients",
            ));
        }
        let mut session = configs.arrived.build_connection(Mode::Server)?;
        session.deserialize(&state.exported.0)?;
        if state.tls13 {
            // The client may have requested an update that was not sent. It is sent with the next answer.
            session.request_key_update(PeerKeyUpdate::KeyUpdateNotRequested)?;
        }
        Ok(Stream {
            inner: TlsStream::from_parts(session, connection),
            unread: Vec::new(),
            terms: Arc::clone(&configs.terms),
            tls13: state.tls13,
            session: state.facts.map(|facts| Session(Arc::new(facts))),
        })
    }

    fn introduce(&self, stream: &Stream) -> Extensions {
        let mut extensions = Extensions::new();
        if let Some(session) = &stream.session {
            extensions.insert(session.clone());
        }
        extensions
    }
}

/// Nothing if a record is incomplete, or bytes are still to be sent: the connection is unchanged.
fn export(stream: &mut Stream) -> Option<Exported> {
    let decrypted = stream.connection().peek_len();
    if decrypted > 0 {
        let mut bytes = vec![0; decrypted];
        // There are no more bytes, so nothing is read from the socket.
        match stream.connection().poll_recv(&mut bytes) {
            Poll::Ready(Ok(count)) => stream.unread.extend(&bytes[..count]),
            Poll::Ready(Err(_)) | Poll::Pending => return None,
        }
    }
    let length = stream.connection().serialization_length().ok()?;
    let mut exported = Zeroizing::new(vec![0; length]);
    stream.connection().serialize(&mut exported).ok()?;
    Some(Exported(exported))
}
