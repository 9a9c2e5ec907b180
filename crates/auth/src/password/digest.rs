//! {SHA256} {SHA512} and, with salt, {SSHA256} {SSHA512}: one digest, quick to compute and so weak against whoever has the hash.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Sha256, Sha512};

use super::scheme::{Encoding, Scheme, SchemeError, decode_hex};
use crate::secret::Secret;

/// Which of the two hashes a scheme is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sha {
    Sha256,
    Sha512,
}

/// The longest salt that follows a digest, in bytes.
const SALT_BYTES_MAX: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct Digest {
    sha: Sha,
    digest: Secret,
    /// Empty in the schemes without.
    salt: Vec<u8>,
}

impl Digest {
    pub(super) fn parse(value: &str, encoding: Encoding, scheme: Scheme) -> Result<Self, SchemeError> {
        let malformed = SchemeError::Malformed(scheme.name());
        let (sha, digest_bytes) = match scheme {
            Scheme::Sha256 | Scheme::Ssha256 => (Sha::Sha256, 32),
            _ => (Sha::Sha512, 64),
        };
        let salted = matches!(scheme, Scheme::Ssha256 | Scheme::Ssha512);
        let mut bytes = match encoding.decode(value, scheme)? {
            Some(bytes) => bytes,
            // As Dovecot, which takes a digest of just the right length for hexadecimal.
            None if !salted && value.len() == digest_bytes * 2 => decode_hex(value).ok_or(malformed)?,
            None => STANDARD.decode(value).map_err(|_| malformed)?,
        };
        if bytes.len() < digest_bytes {
            return Err(malformed);
        }
        let salt = bytes.split_off(digest_bytes);
        if salt.len() > SALT_BYTES_MAX || (!salted && !salt.is_empty()) {
            return Err(malformed);
        }
        Ok(Self { sha, digest: Secret::new(bytes), salt })
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match self.sha {
            Sha::Sha256 => self.digest.equals(&hash::<Sha256>(password, &self.salt)),
            Sha::Sha512 => self.digest.equals(&hash::<Sha512>(password, &self.salt)),
        }
    }
}

fn hash<D: sha2::Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    D::new().chain_update(password).chain_update(salt).finalize().to_vec()
}
