//! Who a node is, and whom it believes.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::name::NodeName;

/// A node's certificate, which names it, and its key.
#[derive(Debug)]
pub struct Identity {
    pub(crate) node: NodeName,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Who signs the certificates of a cluster's nodes: one certificate, or two while the authority is being changed.
#[derive(Debug, Clone)]
pub struct Authority {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

/// The SHA-256 of an authority's certificate: who joins believes the authority by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("there is no certificate in what should be PEM")]
    NoCertificate,
    #[error("there is no private key in what should be PEM")]
    NoKey,
    #[error("the certificate names no node: it needs the subject alternative name NODE.paquebot.cluster")]
    NoNode,
    #[error("the certificate or its key cannot be used: {0}")]
    Unusable(String),
}

impl Identity {
    /// From the node's certificate, with those between it and the authority's if there are any, and its key.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(certificate)?;
        let node = chain.first().and_then(node_of).ok_or(IdentityError::NoNode)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoKey)?;
        Ok(Self { node, chain, key })
    }

    pub fn node(&self) -> &NodeName {
        &self.node
    }
}

impl Authority {
    pub fn from_pem(certificate: &[u8]) -> Result<Self, IdentityError> {
        Ok(Self { certificates: certificates(certificate)? })
    }

    /// Of the first certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificates.first().map_or(Fingerprint([0; 32]), Fingerprint::of)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|found| !found.is_empty()).ok_or(IdentityError::NoCertificate)
}

/// The node that a certificate names.
pub(crate) fn node_of(certificate: &CertificateDer<'_>) -> Option<NodeName> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    certificate.valid_dns_names().find_map(NodeName::from_certificate_name)
}

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(FingerprintError);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16).ok_or(FingerprintError);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_goes_there_and_back() {
        let fingerprint = Fingerprint(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
        }
    }
}
