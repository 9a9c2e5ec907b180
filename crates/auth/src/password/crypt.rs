//! What C's `crypt` makes, by prefix: `$5$` and `$6$` (SHA-crypt), `$2a$`, `$2b$` and `$2y$` (bcrypt).

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use sha_crypt::{Sha256Params, Sha512Params};

use super::Form;
use super::cost::Cost;
use super::digest::Sha;
use super::scheme::{Scheme, SchemeError};
use crate::secret::Secret;

/// The most rounds of SHA-crypt that are run: some seconds' work. The format allows 999,999,999.
const ROUNDS_MAX: u32 = 1_000_000;
/// SHA-crypt has no fewer.
const ROUNDS_MIN: u32 = 1_000;
const ROUNDS_DEFAULT: u32 = 5_000;
/// The highest bcrypt cost that is run (2^15 rounds, some seconds). The format allows 31, which takes days.
const BCRYPT_COST_MAX: u32 = 15;

/// bcrypt's base64. Some software leaves the unused bits of the last character set.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// Parses by prefix, whichever of the schemes it is called by: `crypt` does the same.
pub(super) fn parse(value: &str, scheme: Scheme) -> Result<Form, SchemeError> {
    if let Some(rest) = value.strip_prefix("$6$") {
        return ShaCrypt::parse(Sha::Sha512, rest, scheme).map(Form::ShaCrypt);
    }
    if let Some(rest) = value.strip_prefix("$5$") {
        return ShaCrypt::parse(Sha::Sha256, rest, scheme).map(Form::ShaCrypt);
    }
    if let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| value.strip_prefix(prefix)) {
        return Bcrypt::parse(rest, scheme).map(Form::Bcrypt);
    }
    let others = [
        ("$y$", "yescrypt"),
        ("$gy$", "gost-yescrypt"),
        ("$7$", "scrypt"),
        ("$1$", "MD5-CRYPT"),
        ("$2x$", "BLF-CRYPT of the broken $2x$ kind"),
    ];
    match others.iter().find(|(prefix, _)| value.starts_with(prefix)) {
        Some((_, name)) => Err(SchemeError::Unsupported(name)),
        None => Err(SchemeError::Malformed(scheme.name())),
    }
}

#[derive(Debug, Clone)]
pub(super) struct ShaCrypt {
    sha: Sha,
    rounds: u32,
    salt: String,
    hash: Secret,
}

impl ShaCrypt {
    /// `[rounds=N$]salt$hash`: a salt of up to 16 characters, 43 or 86 of hash.
    fn parse(sha: Sha, rest: &str, scheme: Scheme) -> Result<Self, SchemeError> {
        let malformed = SchemeError::Malformed(scheme.name());
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            None => (ROUNDS_DEFAULT, rest),
            Some(rest) => {
                let (digits, rest) = rest.split_once('$').ok_or(malformed)?;
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(malformed);
                }
                (digits.parse().map_err(|_| SchemeError::TooCostly(scheme.name()))?, rest)
            }
        };
        if rounds < ROUNDS_MIN {
            return Err(malformed);
        }
        if rounds > ROUNDS_MAX {
            return Err(SchemeError::TooCostly(scheme.name()));
        }
        let (salt, hash) = rest.split_once('$').ok_or(malformed)?;
        let hash_bytes = if sha == Sha::Sha256 { 43 } else { 86 };
        if salt.len() > 16 || hash.len() != hash_bytes {
            return Err(malformed);
        }
        Ok(Self { sha, rounds, salt: salt.to_owned(), hash: Secret::new(hash) })
    }

    pub(super) fn cost(&self) -> Cost {
        Cost::ShaCrypt { sha: self.sha, rounds: self.rounds }
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        sha_crypt(self.sha, self.rounds, password, &self.salt).is_some_and(|made| self.hash.equals(made.as_bytes()))
    }
}

/// The hash's last field. Nothing only if `rounds` is outside what the format allows.
pub(super) fn sha_crypt(sha: Sha, rounds: u32, password: &[u8], salt: &str) -> Option<String> {
    let rounds = usize::try_from(rounds).ok()?;
    match sha {
        Sha::Sha256 => sha_crypt::sha256_crypt_b64(password, salt.as_bytes(), &Sha256Params::new(rounds).ok()?).ok(),
        Sha::Sha512 => sha_crypt::sha512_crypt_b64(password, salt.as_bytes(), &Sha512Params::new(rounds).ok()?).ok(),
    }
}

#[derive(Debug, Clone)]
pub(super) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    hash: Secret,
}

impl Bcrypt {
    /// `NN$` and 53 characters: 22 of salt, 31 of hash.
    fn parse(rest: &str, scheme: Scheme) -> Result<Self, SchemeError> {
        let malformed = SchemeError::Malformed(scheme.name());
        let (cost, rest) = rest.split_once('$').ok_or(malformed)?;
        if cost.len() != 2 || !cost.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed);
        }
        let cost: u32 = cost.parse().map_err(|_| malformed)?;
        if cost < 4 {
            return Err(malformed);
        }
        if cost > BCRYPT_COST_MAX {
            return Err(SchemeError::TooCostly(scheme.name()));
        }
        if rest.len() != 53 {
            return Err(malformed);
        }
        let (salt, hash) = rest.split_at_checked(22).ok_or(malformed)?;
        let salt = BCRYPT_BASE64.decode(salt).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(malformed)?;
        let hash = BCRYPT_BASE64.decode(hash).map_err(|_| malformed)?;
        Ok(Self { cost, salt, hash: Secret::new(hash) })
    }

    pub(super) fn cost(&self) -> Cost {
        Cost::Bcrypt { cost: self.cost }
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let made = bcrypt(self.cost, self.salt, password);
        // The format drops the last of the 24 bytes.
        self.hash.equals(&made[..23])
    }
}

/// Like every bcrypt, looks at 72 bytes at most, the closing NUL included.
pub(super) fn bcrypt(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; 24] {
    let mut key = zeroize::Zeroizing::new([password, &[0]].concat());
    key.truncate(72);
    bcrypt::bcrypt(cost.min(BCRYPT_COST_MAX), salt, &key)
}
