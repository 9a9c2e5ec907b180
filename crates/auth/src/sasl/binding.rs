//! Channel bindings: what ties a SASL exchange to the TLS connection under it (RFC 5929, RFC 9266).

use sha2::{Digest, Sha256, Sha384, Sha512};

/// The channel bindings of one connection. None on a connection without TLS.
#[derive(Clone, Default)]
pub struct ChannelBindings {
    /// `tls-exporter`: 32 bytes that TLS exports under the label `EXPORTER-Channel-Binding` with an empty context. Only to be given for
    /// TLS 1.3, or TLS 1.2 with the extended master secret (RFC 9266, 4.2).
    pub tls_exporter: Option<[u8; 32]>,
    /// `tls-server-end-point`: the hash of the server's certificate, from [`tls_server_end_point`].
    pub tls_server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// Whether there is any, so that SCRAM-SHA-256-PLUS is to be offered.
    pub fn any(&self) -> bool {
        self.tls_exporter.is_some() || self.tls_server_end_point.is_some()
    }

    pub(super) fn data(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self.tls_exporter.as_ref().map(|bytes| bytes.as_slice()),
            "tls-server-end-point" => self.tls_server_end_point.as_deref(),
            _ => None,
        }
    }
}

/// The exporter's bytes would let another connection pass for this one.
impl std::fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelBindings")
            .field("tls_exporter", &self.tls_exporter.is_some())
            .field("tls_server_end_point", &self.tls_server_end_point.is_some())
            .finish()
    }
}

/// The `tls-server-end-point` binding of a certificate in DER (RFC 5929, 4.1): its hash by the hash function of its own signature,
/// SHA-256 in place of MD5 and SHA-1.
///
/// Nothing for a signature without one hash function (Ed25519) or with one that is not known; such a server has no such binding.
pub fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { algorithm OID, parameters }, .. }
    let (SEQUENCE, certificate_fields, _) = element(certificate)? else { return None };
    let (SEQUENCE, _, after_tbs) = element(certificate_fields)? else { return None };
    let (SEQUENCE, algorithm, _) = element(after_tbs)? else { return None };
    let (OID, oid, parameters) = element(algorithm)? else { return None };
    let oid = if oid == RSASSA_PSS { pss_hash(parameters)? } else { oid };
    HASHES.iter().find(|(known, _)| *known == oid).map(|(_, hash)| hash(certificate))
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;

/// 1.2.840.113549.1.1.10: the hash stands in the parameters.
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// 1.3.14.3.2.26: SHA-1 alone, the default of RSASSA-PSS.
const SHA_1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];

type Hash = fn(&[u8]) -> Vec<u8>;
const SHA256: Hash = |bytes| Sha256::digest(bytes).to_vec();
const SHA384: Hash = |bytes| Sha384::digest(bytes).to_vec();
const SHA512: Hash = |bytes| Sha512::digest(bytes).to_vec();

/// Signature algorithms, and plain hashes for RSASSA-PSS, with the hash of the binding.
const HASHES: &[(&[u8], Hash)] = &[
    // RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512: 1.2.840.113549.1.1.x
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], SHA384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], SHA512),
    // ECDSA with SHA-1, SHA-256, SHA-384, SHA-512: 1.2.840.10045.4.x
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], SHA384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], SHA512),
    // SHA-1, SHA-256, SHA-384, SHA-512 alone.
    (SHA_1, SHA256),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], SHA256),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02], SHA384),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03], SHA512),
];

/// `RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] SEQUENCE { algorithm OID, .. } DEFAULT sha1, .. }`
fn pss_hash(parameters: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, fields, _) = element(parameters)? else { return None };
    match element(fields) {
        Some((0xa0, tagged, _)) => {
            let (SEQUENCE, algorithm, _) = element(tagged)? else { return None };
            let (OID, oid, _) = element(algorithm)? else { return None };
            Some(oid)
        }
        _ => Some(SHA_1),
    }
}

/// The first element of some DER: its tag, its contents, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A certificate's outline: no contents but the signature algorithm.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let sequence = |contents: &[u8]| {
            let mut out = vec![SEQUENCE, 0x81, u8::try_from(contents.len()).unwrap()];
            out.extend_from_slice(contents);
            out
        };
        sequence(&[sequence(b"tbs"), sequence(algorithm), vec![0x03, 0x01, 0x00]].concat())
    }

    fn oid(bytes: &[u8]) -> Vec<u8> {
        [&[OID, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn the_hash_is_the_one_of_the_signature() {
        for (algorithm, bytes) in [
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02][..], 32),
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], 48),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], 32),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], 64),
        ] {
            let certificate = certificate(&oid(algorithm));
            let binding = tls_server_end_point(&certificate).unwrap();
            assert_eq!(binding.len(), bytes);
            if bytes == 32 {
                assert_eq!(binding, SHA256(&certificate));
            }
        }
    }

    #[test]
    fn pss_names_its_hash_in_its_parameters() {
        let sha384 =
            [0x30, 0x0f, 0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
        assert_eq!(tls_server_end_point(&certificate(&[oid(RSASSA_PSS), sha384.to_vec()].concat())).unwrap().len(), 48);
        assert_eq!(tls_server_end_point(&certificate(&[oid(RSASSA_PSS), vec![0x30, 0]].concat())).unwrap().len(), 32);
    }

    #[test]
    fn ed25519_has_no_such_binding() {
        assert_eq!(tls_server_end_point(&certificate(&oid(&[0x2b, 0x65, 0x70]))), None);
    }

    /// Certificates by openssl 3.0: ECDSA with SHA-384, RSASSA-PSS with SHA-512 (and `openssl dgst` of them), Ed25519.
    #[test]
    fn real_certificates_are_read() {
        use base64::Engine;
        let hash = |der: &str| {
            let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
            tls_server_end_point(&der).map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        assert_eq!(
            hash(ECDSA).as_deref(),
            Some("cf94d2b1a18c828ebcb87457fb830a170b6d0f01a5d68def03f5e0888a1c6109e377844b4eae66958253f8400d47e380")
        );
        assert_eq!(
            hash(PSS).as_deref(),
            Some(
                "89125f77e3ad0c4d42f28165ab8e931fd44608d64a7daa6903a2475b9899b93669bf7dd7a8c32858f92d0f70913b96a5fb4a5fe1d53098285143ece1a97166c2"
            )
        );
        assert_eq!(hash(ED25519), None);
    }

    const ECDSA: &str = "MIIBbTCCAROgAwIBAgIUC4evFIOxfG5ZXTzM9ruYmcH/L60wCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBYTAeFw0yNjExMjQyMjIzMzBaFw0yNjExMjUyMjIzMzBaMAwxCjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQlvkmBKk99QkvXH8q7mDCDRMrztl7+AJymjV8tvPHgo9gQEbGeaHhJ/R0KaAUtOszpYw+RqzuVV5fHwWcVBuVMo1MwUTAdBgNVHQ4EFgQUiZMufgd0YqJboprbCi/zlOKWtCUwHwYDVR0jBBgwFoAUiZMufgd0YqJboprbCi/zlOKWtCUwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAwNIADBFAiAC5y+gmQtIR6MdOF6CFCgm0BET0tMdQlyjjFxz+6u9/AIhANIfa/NC0/8F5+GxTbTuZkV1fHyWFeaqusg54X13pnYb";
    const PSS: &str = "MIICUjCCAYygAwIBAgIUSMqD6RAXbtNzk2Egi6+fsXZk1XwwPAYJKoZIhvcNAQEKMC+gDzANBglghkgBZQMEAgMFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgMFADAMMQowCAYDVQQDDAFhMB4XDTI2MTEyNDIyMjMzMFoXDTI2MTEyNTIyMjMzMFowDDEKMAgGA1UEAwwBYTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAoQo/5NTWrNKRkfJpfMqgmoGB4XE+KGsIKHU3V31gsIOttQS5j6+rzVdDaEmvgyyekTqv8oWs0W5IpQ0jgO5bOirxFXnquF/Yd5pOdINcCPghkzSVtAHJ5hD3LnCN2mv9Ux/N0cdbH/PiArQnzlpClcxe8EcMdrOqYfDWwtScNA8CAwEAAaNTMFEwHQYDVR0OBBYEFCXKe7G9DZIebT07d1TgkEjCtZywMB8GA1UdIwQYMBaAFCXKe7G9DZIebT07d1TgkEjCtZywMA8GA1UdEwEB/wQFMAMBAf8wPAYJKoZIhvcNAQEKMC+gDzANBglghkgBZQMEAgMFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgMFAAOBgQB3d+c93Q98TtOsshjiChTMb8IqfREc7yq+KWNdc7FObqsfR9PK9V9I/NbV/nqN/CU8ONeokp4HqYGXvEnW3twkNk6vCzEwopN8RnE2XgvyIY1hZEBmItRhEjAF4uRBDTCIqxMAd9gbdHZU3hfhf0YKhV6lLBuRNwOfO67XfiCklA==";
    const ED25519: &str = "MIIBLDCB36ADAgECAhQFCnFLybtQAbyCo9VfkR2R8IRU3jAFBgMrZXAwDDEKMAgGA1UEAwwBYTAeFw0yNjExMjQyMjIzMzBaFw0yNjExMjUyMjIzMzBaMAwxCjAIBgNVBAMMAWEwKjAFBgMrZXADIQDwqoFA2fOkX47tJFw8SQ3B7e9clO9sk4UbZVEsvqnbI6NTMFEwHQYDVR0OBBYEFNWF3QCyNM0Eg7PftOYKHg3xMdibMB8GA1UdIwQYMBaAFNWF3QCyNM0Eg7PftOYKHg3xMdibMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAcfvJjID1iTeptwysSkcO7Dw7VoWz2fh+lUpUB9QQC5JWpHNxjyU7zVh/JUegvyUZgBEhf3/bsdZB52LiLdJoDw==";

    #[test]
    fn what_is_no_certificate_has_none() {
        let whole = certificate(&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
        for end in 0..whole.len() {
            assert_eq!(tls_server_end_point(&whole[..end]), None);
        }
        for junk in [&b"\x30\x84\xff\xff\xff\xff"[..], b"\x30\x80", b"\x30\x89\x01\x01\x01\x01\x01\x01\x01\x01\x01"] {
            assert_eq!(tls_server_end_point(junk), None);
        }
    }
}
