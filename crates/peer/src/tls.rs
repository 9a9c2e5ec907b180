//! TLS 1.3 between nodes: who is believed, and what is said when one is not.

use std::error::Error;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme, version,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::{Authority, Fingerprint, Identity, IdentityError, node_of};
use crate::name::NodeName;

/// What is spoken on a connection, by ALPN (RFC 7301). A new version of one is a new name, so that nodes of two versions find what both speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Calls,
    Session,
    Lmtp,
    Join,
}

impl Protocol {
    const OF_NODES: [Self; 3] = [Self::Calls, Self::Session, Self::Lmtp];

    pub(crate) fn name(self) -> &'static [u8] {
        match self {
            Self::Calls => b"paquebot-peer/1",
            Self::Session => b"paquebot-session/1",
            Self::Lmtp => b"paquebot-lmtp/1",
            Self::Join => b"paquebot-join/1",
        }
    }

    pub(crate) fn of_nodes(name: &[u8]) -> Option<Self> {
        Self::OF_NODES.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// A node's side of TLS. Connections that are made after a renewal use the new certificates.
#[derive(Debug)]
pub struct Tls {
    current: RwLock<Arc<Current>>,
}

#[derive(Debug)]
pub(crate) struct Current {
    pub node: NodeName,
    roots: Arc<RootCertStore>,
    identity: Arc<Identity>,
    pub server: Arc<ServerConfig>,
    pub joins: Arc<ServerConfig>,
}

impl Tls {
    pub fn new(identity: Identity, authority: &Authority) -> Result<Arc<Self>, IdentityError> {
        Ok(Arc::new(Self { current: RwLock::new(Arc::new(Current::new(identity, authority)?)) }))
    }

    /// From now on with these.
    pub fn renew(&self, identity: Identity, authority: &Authority) -> Result<(), IdentityError> {
        let new = Arc::new(Current::new(identity, authority)?);
        *self.current.write() = new;
        Ok(())
    }

    /// This node's name.
    pub fn node(&self) -> NodeName {
        self.current().node.clone()
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }
}

impl Current {
    fn new(identity: Identity, authority: &Authority) -> Result<Self, IdentityError> {
        let mut roots = RootCertStore::empty();
        for certificate in &authority.certificates {
            roots.add(certificate.clone()).map_err(unusable)?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider());
        let verifier = verifier.build().map_err(|error| IdentityError::Unusable(error.to_string()))?;
        let server = server_config()?.with_client_cert_verifier(verifier);
        let server = server.with_single_cert(identity.chain.clone(), identity.key.clone_key());
        let mut server = server.map_err(unusable)?;
        // A resumed connection would outlive a certificate's end.
        server.send_tls13_tickets = 0;
        server.alpn_protocols = Protocol::OF_NODES.iter().map(|protocol| protocol.name().to_vec()).collect();

        // Who joins knows the authority by its fingerprint alone, so its certificate is sent along.
        let chain = identity.chain.iter().chain(&authority.certificates).cloned().collect();
        let joins = server_config()?.with_no_client_auth().with_single_cert(chain, identity.key.clone_key());
        let mut joins = joins.map_err(unusable)?;
        joins.send_tls13_tickets = 0;
        joins.alpn_protocols = vec![Protocol::Join.name().to_vec()];
        let (node, identity) = (identity.node.clone(), Arc::new(identity));
        Ok(Self { node, roots, identity, server: Arc::new(server), joins: Arc::new(joins) })
    }

    /// For a connection to another node.
    pub(crate) fn client(&self, protocol: Protocol) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&version::TLS13])?;
        let config = config.with_root_certificates(self.roots.clone());
        let mut config = config.with_client_auth_cert(self.identity.chain.clone(), self.identity.key.clone_key())?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![protocol.name().to_vec()];
        Ok(Arc::new(config))
    }
}

/// For who joins: believes whom the authority with this fingerprint has signed.
pub(crate) fn joining(fingerprint: Fingerprint) -> Result<Arc<ClientConfig>, rustls::Error> {
    let verifier = Arc::new(Pinned { fingerprint, provider: provider() });
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&version::TLS13])?;
    let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![Protocol::Join.name().to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_config() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, IdentityError> {
    ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&version::TLS13]).map_err(unusable)
}

fn unusable(error: rustls::Error) -> IdentityError {
    IdentityError::Unusable(error.to_string())
}

/// Verifies a node's certificate by the authority that the node sends along, and that one by its fingerprint.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates.iter().find(|certificate| Fingerprint::of(certificate) == self.fingerprint);
        let authority = authority.ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots, intermediates, now, algorithms)?;
        match node_of(end_entity) {
            Some(_) => Ok(ServerCertVerified::assertion()),
            None => Err(CertificateError::NotValidForName.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The error of TLS within an error of the socket.
pub(crate) fn cause(error: &io::Error) -> Option<&rustls::Error> {
    let inner: &(dyn Error + 'static) = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>()
}

/// Why the two ends do not believe one another, and what to do about it; `None` if that is not what went wrong. `other` names the other end.
pub(crate) fn disbelief(error: &io::Error, other: &str) -> Option<String> {
    let renew =
        "a node that is alive renews its own in time; one that was away for too long joins again with a new token";
    Some(match cause(error)? {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of {other} has expired: compare the clocks of both machines; {renew}")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {other} is not valid yet: compare the clocks of both machines")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("who answers is not {other} but another node: correct the peer addresses of both")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!(
                    "the certificate of {other} is not of this cluster's authority: it belongs to another cluster, or must join this one again"
                )
            }
            why => format!("the certificate of {other} is not good ({why:?}): it must join the cluster again"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                format!("this node's certificate has expired for {other}: compare the clocks of both machines; {renew}")
            }
            AlertDescription::UnknownCA | AlertDescription::DecryptError | AlertDescription::BadCertificate => {
                format!(
                    "{other} does not accept this node's certificate ({alert:?}): the two belong to different clusters, or this node must join again"
                )
            }
            AlertDescription::CertificateRequired => format!("{other} wants a certificate, and this node showed none"),
            AlertDescription::NoApplicationProtocol => {
                format!("{other} speaks no peer protocol that this build speaks: upgrade the older of the two")
            }
            _ => return None,
        },
        rustls::Error::NoCertificatesPresented => format!("{other} showed no certificate"),
        _ => return None,
    })
}
