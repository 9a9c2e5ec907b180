//! Stored passwords in the schemes of Dovecot's `{SCHEME}` syntax: parsed once, then verified.
//!
//! Every cost that a stored hash asks for is bounded when it is parsed, so that no hash can make a login hang.

mod argon;
mod cost;
mod crypt;
mod digest;
mod scheme;

pub use cost::Cost;
pub use digest::Sha;
pub use scheme::{Scheme, SchemeError};

pub use argon::Argon2Cost;
pub(crate) use argon::hash_argon2id;

use crate::sasl::candidates;
use crate::scram_keys::ScramKeys;
use crate::secret::Secret;
use scheme::split_scheme;

/// A password as it is stored: hashed, or in plain text.
#[derive(Debug, Clone)]
pub struct StoredPassword(Form);

#[derive(Debug, Clone)]
enum Form {
    Plain(Secret),
    Digest(digest::Digest),
    ShaCrypt(crypt::ShaCrypt),
    Bcrypt(crypt::Bcrypt),
    Argon2(argon::Argon2Hash),
    Scram(ScramKeys),
}

impl StoredPassword {
    /// Parses `{SCHEME}value`, or a bare value of the scheme `default`.
    ///
    /// Scheme names are compared without case. `{SCHEME.HEX}`, `{SCHEME.B64}` and `{SCHEME.BASE64}` say how the value is written, as
    /// in Dovecot. The errors never hold a part of the value.
    pub fn parse(field: &str, default: Scheme) -> Result<Self, SchemeError> {
        let (scheme, encoding, value) = split_scheme(field, default)?;
        let text = || -> Result<std::borrow::Cow<'_, str>, SchemeError> {
            match encoding.decode(value, scheme)? {
                None => Ok(value.into()),
                Some(bytes) => {
                    String::from_utf8(bytes).map(Into::into).map_err(|_| SchemeError::Malformed(scheme.name()))
                }
            }
        };
        let form = match scheme {
            Scheme::Plain | Scheme::Cleartext => {
                let bytes = encoding.decode(value, scheme)?.unwrap_or_else(|| value.as_bytes().to_vec());
                Form::Plain(Secret::new(bytes))
            }
            Scheme::Crypt | Scheme::Sha256Crypt | Scheme::Sha512Crypt | Scheme::BlfCrypt => {
                crypt::parse(&text()?, scheme)?
            }
            Scheme::Argon2i | Scheme::Argon2id => Form::Argon2(argon::Argon2Hash::parse(&text()?, scheme)?),
            Scheme::Sha256 | Scheme::Sha512 | Scheme::Ssha256 | Scheme::Ssha512 => {
                Form::Digest(digest::Digest::parse(value, encoding, scheme)?)
            }
            Scheme::ScramSha256 => Form::Scram(scheme::scram_keys(&text()?)?),
        };
        Ok(Self(form))
    }

    /// Whether `password` is the stored one. Compares in constant time; the work is [`cost`](Self::cost), once for each form of the
    /// password (see RFC 4013: one for ASCII, two where SASLprep changes it and the first did not match).
    ///
    /// Never true for a password that [`Secret::is_password`] refuses, so an empty stored password locks an account.
    pub fn verify(&self, password: &Secret) -> bool {
        password.is_password() && candidates(password).any(|candidate| self.matches(candidate.expose()))
    }

    /// The work of one verification.
    pub fn cost(&self) -> Cost {
        match &self.0 {
            Form::Plain(_) | Form::Digest(_) => Cost::Cheap,
            Form::ShaCrypt(hash) => hash.cost(),
            Form::Bcrypt(hash) => hash.cost(),
            Form::Argon2(hash) => hash.cost(),
            Form::Scram(keys) => Cost::Pbkdf2 { iterations: keys.iterations() },
        }
    }

    /// The password itself, where it is stored in plain text: only then can keys for SCRAM be made of it.
    pub(crate) fn plain_text(&self) -> Option<&Secret> {
        match &self.0 {
            Form::Plain(secret) => Some(secret),
            _ => None,
        }
    }

    pub(crate) fn scram_keys(&self) -> Option<&ScramKeys> {
        match &self.0 {
            Form::Scram(keys) => Some(keys),
            _ => None,
        }
    }

    /// Compares with exactly these bytes, at the cost of [`cost`](Self::cost).
    pub(crate) fn matches(&self, password: &[u8]) -> bool {
        match &self.0 {
            Form::Plain(stored) => stored.equals(password),
            Form::Digest(hash) => hash.matches(password),
            Form::ShaCrypt(hash) => hash.matches(password),
            Form::Bcrypt(hash) => hash.matches(password),
            Form::Argon2(hash) => hash.matches(password),
            Form::Scram(keys) => keys.match_exactly(password),
        }
    }
}

#[cfg(test)]
mod tests;
