//! What is kept of an account's password.

use std::fmt;

use crate::password::{Scheme, SchemeError, StoredPassword, hash_argon2id};
use crate::sasl::prepared;
use crate::scram_keys::{SCRAM_ITERATIONS, ScramKeys};
use crate::secret::{PASSWORD_BYTES_MAX, Secret};

/// The stored forms of one password: a hash for PLAIN and LOGIN, and keys for SCRAM where there are any.
///
/// As text ([`encode`](Self::encode) and [`parse`](Self::parse), stable, to be stored): the hash as `{SCHEME}value`; with SCRAM keys
/// beside it, `{SCRAM-SHA-256}keys`, a space, and the hash. The keys hold no space, so a hash of any scheme may follow them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Always with its `{SCHEME}`.
    pub password_hash: String,
    pub scram_sha_256: Option<ScramKeys>,
}

/// Why no credentials were made of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    #[error("a password has 1 to {PASSWORD_BYTES_MAX} bytes and no NUL")]
    Password,
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Credentials {
    /// Makes an ARGON2ID hash and SCRAM-SHA-256 keys, each with a fresh salt. Takes some 50 ms of a core.
    ///
    /// The keys are easier to attack than the hash for whoever steals both: that is SCRAM's price (RFC 5802, 9).
    pub fn create(password: &Secret) -> Result<Self, CreateError> {
        let mut salts = [[0; 16]; 2];
        for salt in &mut salts {
            getrandom::fill(salt).map_err(CreateError::Random)?;
        }
        let [argon2_salt, scram_salt] = salts;
        Self::create_with(password, &argon2_salt, &scram_salt)
    }

    fn create_with(password: &Secret, argon2_salt: &[u8; 16], scram_salt: &[u8; 16]) -> Result<Self, CreateError> {
        if !password.is_password() {
            return Err(CreateError::Password);
        }
        let password_hash = hash_argon2id(prepared(password).expose(), argon2_salt).ok_or(CreateError::Password)?;
        let keys = ScramKeys::derive(password, scram_salt.to_vec(), SCRAM_ITERATIONS);
        Ok(Self { password_hash, scram_sha_256: Some(keys) })
    }

    /// Credentials of a hash made elsewhere, as in a passwd-file: `{SCHEME}value`, or a value of the scheme `default`.
    pub fn from_hash(field: &str, default: Scheme) -> Result<Self, SchemeError> {
        let stored = StoredPassword::parse(field, default)?;
        let has_scheme = field.strip_prefix('{').is_some_and(|rest| rest.contains('}'));
        let password_hash = if has_scheme { field.to_owned() } else { format!("{{{}}}{field}", default.name()) };
        Ok(Self { password_hash, scram_sha_256: stored.scram_keys().cloned() })
    }

    /// The text to store. Not `Display`, since it must not reach a log.
    pub fn encode(&self) -> String {
        let prefix = format!("{{{}}}", Scheme::ScramSha256.name());
        match &self.scram_sha_256 {
            // A hash of the scheme SCRAM-SHA-256 is its own keys.
            Some(keys) if !self.password_hash.starts_with(&prefix) => {
                format!("{prefix}{} {}", keys.encode(), self.password_hash)
            }
            _ => self.password_hash.clone(),
        }
    }

    /// Reads what `encode` wrote. A hash without a scheme is refused.
    pub fn parse(text: &str) -> Result<Self, SchemeError> {
        let prefix = format!("{{{}}}", Scheme::ScramSha256.name());
        if let Some((keys, hash)) = text.strip_prefix(&prefix).and_then(|rest| rest.split_once(' ')) {
            let keys: ScramKeys = keys.parse().map_err(|_| SchemeError::Malformed(Scheme::ScramSha256.name()))?;
            return Ok(Self { scram_sha_256: Some(keys), ..Self::parse_hash(hash)? });
        }
        Self::parse_hash(text)
    }

    /// The hash, ready to verify passwords.
    pub fn stored_password(&self) -> Result<StoredPassword, SchemeError> {
        StoredPassword::parse(&self.password_hash, Scheme::Plain)
    }

    fn parse_hash(text: &str) -> Result<Self, SchemeError> {
        if !text.starts_with('{') || !text.contains('}') {
            return Err(SchemeError::UnknownScheme);
        }
        Self::from_hash(text, Scheme::Plain)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn created_credentials_go_there_and_back_and_verify() {
        let password = Secret::new("Tr0ub4dor &3é");
        let credentials = Credentials::create(&password).unwrap();
        let text = credentials.encode();
        assert!(text.starts_with("{SCRAM-SHA-256}10000,"), "{text}");
        assert!(text.contains(" {ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let read = Credentials::parse(&text).unwrap();
        assert_eq!(read, credentials);
        let stored = read.stored_password().unwrap();
        assert!(stored.verify(&password));
        assert!(!stored.verify(&Secret::new("Tr0ub4dor &3e")));
        assert_eq!(stored.cost(), crate::Cost::MADE_HERE);
    }

    #[test]
    fn two_creations_share_no_salt() {
        let create = || Credentials::create(&Secret::new("x")).unwrap();
        let (one, two) = (create(), create());
        assert_ne!(one.password_hash, two.password_hash);
        assert_ne!(one.scram_sha_256.unwrap().salt, two.scram_sha_256.unwrap().salt);
    }

    #[test]
    fn hash_and_keys_are_of_the_prepared_password() {
        // Decomposed when set, composed when used.
        let credentials = Credentials::create(&Secret::new("e\u{301}\u{ad}")).unwrap();
        assert!(credentials.stored_password().unwrap().verify(&Secret::new("\u{e9}")));
        assert!(credentials.scram_sha_256.unwrap().match_exactly("\u{e9}".as_bytes()));
    }

    #[test]
    fn the_encoding_is_stable() {
        let made = Credentials::create_with(&Secret::new("demo"), &[1; 16], &[2; 16]).unwrap();
        assert_eq!(made.encode(), STABLE);
    }

    #[test]
    fn hashes_with_spaces_and_braces_survive() {
        for hash in ["{PLAIN}a b {SCRAM-SHA-256}x y", "{PLAIN} ", "{plain}x"] {
            let mut credentials = Credentials::from_hash(hash, Scheme::Crypt).unwrap();
            assert_eq!(Credentials::parse(&credentials.encode()).unwrap(), credentials);
            credentials.scram_sha_256 = Some(ScramKeys::derive(&Secret::new("x"), vec![1], 1));
            assert_eq!(Credentials::parse(&credentials.encode()).unwrap(), credentials);
        }
    }

    #[test]
    fn a_scram_hash_is_its_own_keys() {
        let keys = ScramKeys::derive(&Secret::new("x"), vec![1], 1);
        let credentials = Credentials::parse(&format!("{{SCRAM-SHA-256}}{}", keys.encode())).unwrap();
        assert_eq!(credentials.scram_sha_256, Some(keys));
        assert_eq!(Credentials::parse(&credentials.encode()).unwrap(), credentials);
    }

    #[test]
    fn unusable_passwords_and_texts_are_refused() {
        for password in ["", "a\0b"] {
            assert_eq!(Credentials::create(&Secret::new(password)), Err(CreateError::Password));
        }
        assert_eq!(Credentials::parse("secret"), Err(SchemeError::UnknownScheme));
        assert_eq!(Credentials::parse("{NOPE}secret"), Err(SchemeError::UnknownScheme));
        assert_eq!(Credentials::parse("{SCRAM-SHA-256}1,2 {PLAIN}x"), Err(SchemeError::Malformed("SCRAM-SHA-256")));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Credentials::from_hash("secret", Scheme::Plain).unwrap()), "Credentials(..)");
    }

    /// `doveadm pw -t` (Dovecot 2.3.19) takes both parts for "demo".
    const STABLE: &str = "{SCRAM-SHA-256}10000,AgICAgICAgICAgICAgICAg==,yOMvWkH/sc50PQkci33mwasY5CwNNkJEFeIhbuYWfSc=,hWXwEVRNIxKNklCYzuvIIMyhQdrb/vMxJsdbeYW4ADo= {ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$AQEBAQEBAQEBAQEBAQEBAQ$W6ad/YcBX2veloX2DM+2xiiueRT1PMOjcJ9qXbBDVPU";
}
