//! The configurations of s2n-tls.

use std::sync::Arc;

use s2n_tls::callbacks::VerifyHostNameCallback;
use s2n_tls::config::Config;
use s2n_tls::enums::{ClientAuthType, SerializationVersion};
use s2n_tls::security;

use crate::Error;
use crate::certificate;
use crate::settings::{ClientCertificates, Settings};
use crate::state::Terms;

/// Both configurations, from one reading of the files.
#[derive(Debug)]
pub(crate) struct Configs {
    /// For handshakes.
    pub(crate) fresh: Config,
    /// For connections whose handshake was in another process, or that were taken apart here. It must not have session
    /// tickets: each generation would send another one with a used nonce.
    pub(crate) arrived: Config,
    /// What both sides of a move have to agree on.
    pub(crate) terms: Arc<Terms>,
}

/// The app judges a client's name; s2n-tls checks who has signed its certificate.
struct AnyName;

impl VerifyHostNameCallback for AnyName {
    fn verify_host_name(&self, _: &str) -> bool {
        true
    }
}

impl Configs {
    pub(crate) fn load(settings: &Settings) -> Result<Self, Error> {
        let certificate = settings.certificate.read()?;
        let key = settings.key.read()?;
        certificate::check(
            &certificate.path,
            &certificate.contents,
            settings.accepts_expired,
        )?;
        let authorities = match &settings.clients {
            Some(ClientCertificates::Required(path) | ClientCertificates::Optional(path)) => {
                Some(certificate::read(path)?)
            }
            None => None,
        };

        let build = || {
            let mut builder = Config::builder();
            // Before the handshake, and when a connection arrives.
            builder
                .set_serialization_version(SerializationVersion::V1)
                .map_err(setting("the version of exported connections"))?;
            builder
                .set_security_policy(&policy(&settings.policy)?)
                .map_err(setting("the policy"))?;
            builder
                .load_pem(&certificate.contents, &key.contents)
                .map_err(|source| Error::DoNotFit {
                    certificate: certificate.path.clone(),
                    key: key.path.clone(),
                    source,
                })?;
            builder
                .set_application_protocol_preference(&settings.protocols)
                .map_err(setting("the protocols"))?;
            if let (Some(clients), Some(authorities)) = (&settings.clients, &authorities) {
                let kind = match clients {
                    ClientCertificates::Required(_) => ClientAuthType::Required,
                    ClientCertificates::Optional(_) => ClientAuthType::Optional,
                };
                // Only these authorities, not the machine's.
                builder
                    .with_system_certs(false)
                    .and_then(|builder| builder.trust_pem(authorities))
                    .and_then(|builder| builder.set_client_auth_type(kind))
                    .and_then(|builder| builder.set_verify_host_callback(AnyName))
                    .map_err(setting("the authorities of clients"))?;
            }
            builder.build().map_err(setting("the configuration"))
        };
        Ok(Self {
            fresh: build()?,
            arrived: build()?,
            terms: Arc::new(Terms::new(
                settings,
                authorities.as_deref().map(Vec::as_slice),
            )),
        })
    }
}

fn policy(name: &str) -> Result<security::Policy, Error> {
    security::Policy::from_version(name).map_err(setting("the policy"))
}

fn setting(what: &'static str) -> impl Fn(s2n_tls::error::Error) -> Error {
    move |source| Error::Setting { what, source }
}
