//! The cluster's own certificate authority: it signs the certificates by which nodes, and the members of a managed etcd, know one another.

use std::net::IpAddr;

use paquebot_peer::NodeName;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Date, Duration, OffsetDateTime};

/// The authority's own certificate ends so many years after it was made.
const AUTHORITY_YEARS: i64 = 30;
/// A node's certificate lasts so long, and is renewed when half of it is over.
const NODE_DAYS: i64 = 365;

/// The authority with its key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the cluster's certificates: {0}")]
pub struct CertificateError(String);

impl CertificateError {
    pub(crate) fn of(error: &dyn std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

/// A node's certificate, in PEM, and when it ends, in seconds since 1970.
#[derive(Debug, Clone)]
pub struct NodeCertificate {
    pub pem: String,
    pub until: i64,
}

impl CertificateAuthority {
    /// A new one: gives its key, in PEM, too.
    pub fn make(cluster: &str) -> Result<(Self, String), CertificateError> {
        let key = KeyPair::generate()?;
        let pem = key.serialize_pem();
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, format!("Paquebot cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = long_ago();
        params.not_after = OffsetDateTime::now_utc() + Duration::days(AUTHORITY_YEARS * 365);
        let certificate = params.self_signed(&key)?.pem();
        Ok((Self { issuer: Issuer::new(params, key), certificate }, pem))
    }

    /// From its certificate and key, in PEM.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self { issuer: Issuer::from_ca_cert_pem(certificate, key)?, certificate: certificate.into() })
    }

    /// In PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a node with this key, reached at `host`.
    pub fn certify(&self, node: &NodeName, host: &str, key: &str) -> Result<NodeCertificate, CertificateError> {
        let (params, until) = node_params(node, host)?;
        let pem = params.signed_by(&KeyPair::from_pem(key)?, &self.issuer)?.pem();
        Ok(NodeCertificate { pem, until })
    }

    /// The same for the key in a PKCS #10 request, which is proved to be the asker's. What else the request asks for counts for nothing.
    pub fn certify_request(
        &self,
        node: &NodeName,
        host: &str,
        request: &[u8],
    ) -> Result<NodeCertificate, CertificateError> {
        let mut request = CertificateSigningRequestParams::from_der(&request.into())?;
        let (params, until) = node_params(node, host)?;
        request.params = params;
        Ok(NodeCertificate { pem: request.signed_by(&self.issuer)?.pem(), until })
    }
}

/// A key for a node, in PEM.
pub fn make_key() -> Result<String, CertificateError> {
    Ok(KeyPair::generate()?.serialize_pem())
}

/// A PKCS #10 request for a node's certificate, in DER.
pub fn request(node: &NodeName, key: &str) -> Result<Vec<u8>, CertificateError> {
    let mut params = CertificateParams::new(vec![node.certificate_name()])?;
    params.distinguished_name.push(DnType::CommonName, node.as_str());
    Ok(params.serialize_request(&KeyPair::from_pem(key)?)?.der().to_vec())
}

/// Whether a certificate that ends then is to be renewed now.
pub fn is_to_be_renewed(until: i64) -> bool {
    until - OffsetDateTime::now_utc().unix_timestamp() < NODE_DAYS * 86_400 / 2
}

fn node_params(node: &NodeName, host: &str) -> Result<(CertificateParams, i64), CertificateError> {
    let mut names = vec![node.certificate_name(), "localhost".into(), "127.0.0.1".into(), "::1".into()];
    let host = host.trim_matches(['[', ']']);
    if !host.is_empty() && !names.iter().any(|name| name == host) {
        names.push(host.into());
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, node.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Each node asks and is asked.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = long_ago();
    params.not_after = OffsetDateTime::now_utc() + Duration::days(NODE_DAYS);
    debug_assert!(
        params.subject_alt_names.iter().any(|name| *name == SanType::IpAddress(IpAddr::from([127, 0, 0, 1])))
    );
    let until = params.not_after.unix_timestamp();
    Ok((params, until))
}

/// So that a machine whose clock is behind believes what was made today.
fn long_ago() -> OffsetDateTime {
    Date::from_calendar_date(2020, time::Month::January, 1)
        .map_or(OffsetDateTime::UNIX_EPOCH, |date| date.midnight().assume_utc())
}

#[cfg(test)]
mod tests {
    use paquebot_peer::{Authority, Identity, Tls};

    use super::*;

    #[test]
    fn nodes_are_certified_and_named() {
        let (authority, key) = CertificateAuthority::make("c").unwrap();
        let again = CertificateAuthority::from_pem(authority.certificate(), &key).unwrap();
        let node = NodeName::new("a").unwrap();
        let key = make_key().unwrap();
        let request = request(&node, &key).unwrap();
        let trusted = Authority::from_pem(authority.certificate().as_bytes()).unwrap();
        for made in [
            authority.certify(&node, "10.0.0.1", &key).unwrap(),
            again.certify(&node, "[fd00::1]", &key).unwrap(),
            again.certify_request(&node, "a.example.org", &request).unwrap(),
        ] {
            let identity = Identity::from_pem(made.pem.as_bytes(), key.as_bytes()).unwrap();
            assert_eq!(identity.node(), &node);
            assert!(!is_to_be_renewed(made.until));
            Tls::new(identity, &trusted).unwrap();
        }
        assert!(is_to_be_renewed(OffsetDateTime::now_utc().unix_timestamp() + 100 * 86_400));
        assert!(again.certify_request(&node, "a", &request[1..]).is_err());
    }
}
