//! The server's certificate.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::node;
use paquebot_config::Config;

/// A certificate with its key, ready for handshakes.
pub struct Certificate {
    config: Arc<rustls::ServerConfig>,
    first: CertificateDer<'static>,
}

impl Certificate {
    pub fn into_session(self) -> paquebot_session::Tls {
        paquebot_session::Tls::new(self.config, &self.first)
    }
}

/// Another certificate for the handshakes to come.
pub fn replace(sessions: &paquebot_session::Shared, new: Certificate) {
    if let Some(tls) = &sessions.tls {
        tls.replace(new.config, &new.first);
    }
}

/// The certificate that is configured; `None` if none is.
pub fn configured(config: &Config) -> anyhow::Result<Option<Certificate>> {
    match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => load(certificate, key).map(Some),
        (None, None) => Ok(None),
        _ => bail!("[tls] needs both `certificate` and `key`, or neither"),
    }
}

/// The self-signed certificate of the data directory, which is made when there is none.
pub fn self_signed(config: &Config) -> anyhow::Result<Certificate> {
    let (certificate, key) = (config.data.join("tls.crt"), config.data.join("tls.key"));
    if !(certificate.exists() && key.exists()) {
        make(&certificate, &key)?;
    }
    load(&certificate, &key)
}

fn load(certificate: &Path, key: &Path) -> anyhow::Result<Certificate> {
    let chain: Vec<CertificateDer> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
    let Some(first) = chain.first().cloned() else { bail!("{} holds no certificate", certificate.display()) };
    let private =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit", certificate.display(), key.display()))?;
    // Tickets cost every session memory, and clients of IMAP stay connected.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Certificate { config: Arc::new(tls), first })
}

/// What the machine calls itself.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

fn make(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(Some(host_name()).filter(|host| host != "localhost"));
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a self-signed certificate")?;
    node::private_file(key, made.signing_key.serialize_pem().as_bytes())?;
    fs::write(certificate, made.cert.pem()).with_context(|| format!("cannot write {}", certificate.display()))
}
