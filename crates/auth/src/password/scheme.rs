//! Names of schemes and encodings, and the errors of stored passwords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::scram_keys::{ScramKeys, ScramKeysError};

/// A password scheme that can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// The password itself.
    Plain,
    /// The same under its other name.
    Cleartext,
    /// What C's `crypt` makes; the hash's prefix says which. `$2a$ $2b$ $2y$ $5$ $6$` are known.
    Crypt,
    Sha256Crypt,
    Sha512Crypt,
    BlfCrypt,
    Argon2i,
    Argon2id,
    Sha256,
    Sha512,
    Ssha256,
    Ssha512,
    ScramSha256,
}

/// Why a stored password cannot be used. Never holds a part of it: what stands in the place of a scheme may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    #[error("the password's scheme, between braces, is not known")]
    UnknownScheme,
    #[error("passwords in {0} are not supported; set the password anew, in ARGON2ID for instance")]
    Unsupported(&'static str),
    #[error("the value is not a {0} hash")]
    Malformed(&'static str),
    #[error("the {0} hash asks for more work than the limit; set the password anew at a lower cost")]
    TooCostly(&'static str),
}

const SCHEMES: &[Scheme] = &[
    Scheme::Plain,
    Scheme::Cleartext,
    Scheme::Crypt,
    Scheme::Sha256Crypt,
    Scheme::Sha512Crypt,
    Scheme::BlfCrypt,
    Scheme::Argon2i,
    Scheme::Argon2id,
    Scheme::Sha256,
    Scheme::Sha512,
    Scheme::Ssha256,
    Scheme::Ssha512,
    Scheme::ScramSha256,
];

/// Dovecot's other schemes: named in errors, so that whoever moves from there sees what must change.
const UNSUPPORTED: &[&str] = &[
    "CLEAR",
    "PLAIN-TRUNC",
    "CRAM-MD5",
    "HMAC-MD5",
    "DIGEST-MD5",
    "PLAIN-MD4",
    "PLAIN-MD5",
    "LDAP-MD5",
    "MD5",
    "MD5-CRYPT",
    "DES-CRYPT",
    "SHA",
    "SHA1",
    "SSHA",
    "SMD5",
    "LANMAN",
    "NTLM",
    "NT",
    "OTP",
    "SKEY",
    "RPA",
    "PBKDF2",
    "SCRAM-SHA-1",
];

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Cleartext => "CLEARTEXT",
            Self::Crypt => "CRYPT",
            Self::Sha256Crypt => "SHA256-CRYPT",
            Self::Sha512Crypt => "SHA512-CRYPT",
            Self::BlfCrypt => "BLF-CRYPT",
            Self::Argon2i => "ARGON2I",
            Self::Argon2id => "ARGON2ID",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Ssha256 => "SSHA256",
            Self::Ssha512 => "SSHA512",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// The scheme of this name, in upper or lower case.
    pub fn named(name: &str) -> Option<Self> {
        SCHEMES.iter().copied().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }
}

/// How a value is written: what `.HEX` and `.B64` after a scheme's name say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The scheme's own: base64 for digests, none for the others.
    Natural,
    Hex,
    Base64,
}

impl Encoding {
    /// The bytes behind the value; nothing if they are the value's own.
    pub(super) fn decode(self, value: &str, scheme: Scheme) -> Result<Option<Vec<u8>>, SchemeError> {
        let decoded = match self {
            Self::Natural => return Ok(None),
            Self::Hex => decode_hex(value),
            Self::Base64 => STANDARD.decode(value).ok(),
        };
        decoded.map(Some).ok_or(SchemeError::Malformed(scheme.name()))
    }
}

/// Splits `{NAME.ENCODING}value`. A field that does not open with a brace, or never closes it, is all value.
pub(super) fn split_scheme(field: &str, default: Scheme) -> Result<(Scheme, Encoding, &str), SchemeError> {
    let Some((label, value)) = field.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Ok((default, Encoding::Natural, field));
    };
    let (name, encoding) = match label.split_once('.') {
        None => (label, Encoding::Natural),
        Some((name, suffix)) if suffix.eq_ignore_ascii_case("HEX") => (name, Encoding::Hex),
        Some((name, suffix)) if suffix.eq_ignore_ascii_case("B64") || suffix.eq_ignore_ascii_case("BASE64") => {
            (name, Encoding::Base64)
        }
        Some(_) => return Err(SchemeError::UnknownScheme),
    };
    match Scheme::named(name) {
        Some(scheme) => Ok((scheme, encoding, value)),
        None => match UNSUPPORTED.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(known) => Err(SchemeError::Unsupported(known)),
            None => Err(SchemeError::UnknownScheme),
        },
    }
}

pub(super) fn scram_keys(value: &str) -> Result<ScramKeys, SchemeError> {
    value.parse().map_err(|error| match error {
        ScramKeysError::Malformed => SchemeError::Malformed(Scheme::ScramSha256.name()),
        ScramKeysError::Iterations => SchemeError::TooCostly(Scheme::ScramSha256.name()),
    })
}

pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}
