//! What a server keeps of a password for SCRAM-SHA-256 (RFC 5802, 3; RFC 7677).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::sasl::prepared;
use crate::secret::Secret;

/// The iterations for keys that we make. RFC 7677 asks for 4096 at least; more costs the client at each login.
pub const SCRAM_ITERATIONS: u32 = 10_000;
/// The most iterations of a stored key. They bound what a password checked against it costs.
pub const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;
/// The longest salt of a stored key, in bytes.
const SALT_BYTES_MAX: usize = 64;

/// The keys of one account: they prove a password without holding it, though whoever has them can play the server.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: [u8; 32],
    pub(crate) server_key: [u8; 32],
}

/// The text is not `iterations,salt,stored key,server key` (the last three in base64), or its iterations are out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramKeysError {
    #[error("SCRAM keys must be `iterations,salt,stored key,server key`, the last three in base64")]
    Malformed,
    #[error("SCRAM keys must have 1 to {SCRAM_ITERATIONS_MAX} iterations")]
    Iterations,
}

impl ScramKeys {
    /// Derives the keys from a password, prepared by SASLprep where that is possible (RFC 5802, 2.2).
    pub fn derive(password: &Secret, salt: Vec<u8>, iterations: u32) -> Self {
        let salted = salted_password(prepared(password).expose(), &salt, iterations);
        let client_key = hmac_sha256(&salted, &[b"Client Key"]);
        Self {
            iterations,
            salt,
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac_sha256(&salted, &[b"Server Key"]),
        }
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Dovecot's form of the keys: `iterations,salt,stored key,server key`. Not `Display`, since it must not reach a log.
    pub fn encode(&self) -> String {
        let [salt, stored_key, server_key] =
            [&self.salt[..], &self.stored_key[..], &self.server_key[..]].map(|bytes| STANDARD.encode(bytes));
        format!("{},{salt},{stored_key},{server_key}", self.iterations)
    }

    /// Whether the keys come from this very password (not prepared), by deriving them again.
    pub(crate) fn match_exactly(&self, password: &[u8]) -> bool {
        let salted = salted_password(password, &self.salt, self.iterations);
        let stored_key: [u8; 32] = Sha256::digest(hmac_sha256(&salted, &[b"Client Key"])).into();
        Secret::new(stored_key).equals(&self.stored_key)
    }
}

impl FromStr for ScramKeys {
    type Err = ScramKeysError;

    fn from_str(text: &str) -> Result<Self, ScramKeysError> {
        let mut fields = text.split(',');
        let mut next = || fields.next().ok_or(ScramKeysError::Malformed);
        let (iterations, salt, stored_key, server_key) = (next()?, next()?, next()?, next()?);
        if fields.next().is_some() || iterations.is_empty() || !iterations.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ScramKeysError::Malformed);
        }
        let iterations: u32 = iterations.parse().map_err(|_| ScramKeysError::Iterations)?;
        if !(1..=SCRAM_ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramKeysError::Iterations);
        }
        let decode = |field: &str| STANDARD.decode(field).map_err(|_| ScramKeysError::Malformed);
        let key = |field: &str| decode(field)?.try_into().map_err(|_| ScramKeysError::Malformed);
        let salt = decode(salt)?;
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(ScramKeysError::Malformed);
        }
        Ok(Self { iterations, salt, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// HMAC-SHA-256 of the concatenated parts (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802, 2.2: PBKDF2 with HMAC-SHA-256 and one block of output.
pub(crate) fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mac = keyed(password);
    let mut first = mac.clone();
    first.update(salt);
    first.update(&1u32.to_be_bytes());
    let mut block: [u8; 32] = first.finalize().into_bytes().into();
    let mut sum = block;
    for _ in 1..iterations {
        let mut next = mac.clone();
        next.update(&block);
        block = next.finalize().into_bytes().into();
        for (total, byte) in sum.iter_mut().zip(block) {
            *total ^= byte;
        }
    }
    sum
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // doveadm pw -s SCRAM-SHA-256 -p pencil (Dovecot 2.3.19).
    const DOVECOT_PENCIL: &str = "4096,Ux3f+00valpEso/y/8RQBA==,RA2le+kdC4tqbF26SHSMSOJ2KvU6X598c2J7/b5vYus=,kgX1WcBHGbfDV3+yHW+AwA4lWC0mSpkKBkhkpfNVtA4=";

    #[test]
    fn derives_what_dovecot_derives() {
        let keys: ScramKeys = DOVECOT_PENCIL.parse().unwrap();
        assert_eq!(ScramKeys::derive(&Secret::new("pencil"), keys.salt.clone(), 4096), keys);
        assert!(keys.match_exactly(b"pencil"));
        assert!(!keys.match_exactly(b"pencils"));
    }

    #[test]
    fn goes_there_and_back() {
        assert_eq!(DOVECOT_PENCIL.parse::<ScramKeys>().unwrap().encode(), DOVECOT_PENCIL);
    }

    #[test]
    fn hostile_keys_are_refused() {
        let key = STANDARD.encode([7u8; 32]);
        let table = [
            (String::new(), ScramKeysError::Malformed),
            (format!("4096,AAAA,{key}"), ScramKeysError::Malformed),
            (format!("4096,AAAA,{key},{key},"), ScramKeysError::Malformed),
            (format!("4096,,{key},{key}"), ScramKeysError::Malformed),
            (format!("4096,AAAA,{key},AAAA"), ScramKeysError::Malformed),
            (format!("4096,A*AA,{key},{key}"), ScramKeysError::Malformed),
            (format!("4096,{},{key},{key}", "AAAA".repeat(22)), ScramKeysError::Malformed),
            (format!("+1,AAAA,{key},{key}"), ScramKeysError::Malformed),
            (format!("0,AAAA,{key},{key}"), ScramKeysError::Iterations),
            (format!("1000001,AAAA,{key},{key}"), ScramKeysError::Iterations),
            (format!("4294967297,AAAA,{key},{key}"), ScramKeysError::Iterations),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<ScramKeys>(), Err(error), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", DOVECOT_PENCIL.parse::<ScramKeys>().unwrap());
        assert_eq!(shown, "ScramKeys { iterations: 4096, .. }");
    }
}
