//! The server's certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;
use crate::node;

/// Reads the certificate that is configured, or the self-signed one in the data directory, which is made when there is none.
pub fn load(config: &Config) -> anyhow::Result<paquebot_session::Tls> {
    let (certificate, key) = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        (None, None) => self_signed(&config.data)?,
        _ => bail!("[tls] needs both `certificate` and `key`, or neither"),
    };
    let chain: Vec<CertificateDer> = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
    let Some(first) = chain.first().cloned() else { bail!("{} holds no certificate", certificate.display()) };
    let private =
        PrivateKeyDer::from_pem_file(&key).with_context(|| format!("cannot read the key {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit", certificate.display(), key.display()))?;
    // Tickets cost every session memory, and clients of IMAP stay connected.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(paquebot_session::Tls::new(Arc::new(tls), &first))
}

/// What the machine calls itself.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

fn self_signed(data: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (data.join("tls.crt"), data.join("tls.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(Some(host_name()).filter(|host| host != "localhost"));
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a self-signed certificate")?;
    node::private_file(&key, made.signing_key.serialize_pem().as_bytes())?;
    fs::write(&certificate, made.cert.pem()).with_context(|| format!("cannot write {}", certificate.display()))?;
    Ok((certificate, key))
}
