//! {ARGON2ID} and {ARGON2I} (RFC 9106), written as PHC strings.

use argon2::password_hash::{Ident, Output, ParamsString, PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::cost::Cost;
use super::scheme::{Scheme, SchemeError};
use crate::secret::Secret;

/// The most memory of a stored hash, in KiB, which is also what one verification may take.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// The most memory times passes, in KiB: bounds the time.
const WORK_KIB_MAX: u32 = 1024 * 1024;
const LANES_MAX: u32 = 16;
/// What the C library's allocator always takes from the system and gives back to it: more than its largest threshold, 32 MiB.
const RETURNED_BYTES: usize = 33 << 20;

/// The cost of the hashes that are made here: OWASP's advice for ARGON2ID, 19 MiB and two passes.
pub(crate) const ARGON2_MADE_HERE: Argon2Cost = Argon2Cost {
    algorithm: Algorithm::Argon2id,
    version: Version::V0x13,
    memory_kib: 19 * 1024,
    passes: 2,
    lanes: 1,
    output_bytes: 32,
};

/// All that the work of one hash depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Cost {
    algorithm: Algorithm,
    version: Version,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    output_bytes: usize,
}

impl Argon2Cost {
    /// The hash of `password`. Nothing if the password or salt is outside Argon2's bounds.
    pub(super) fn hash(&self, password: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
        let mut output = vec![0; self.output_bytes];
        let engine = self.engine()?;
        let count = engine.params().block_count();
        // Memory of this size is taken from the system, and goes back to it when the hash is done: of smaller pieces the allocator keeps one
        // for each thread that ever hashed a password. What is beyond `count` is never touched, and so costs nothing.
        let mut blocks = Vec::with_capacity(count.max(RETURNED_BYTES / Block::SIZE));
        blocks.resize(count, Block::default());
        engine.hash_password_into_with_memory(password, salt, &mut output, &mut blocks[..]).ok()?;
        Some(output)
    }

    fn engine(&self) -> Option<Argon2<'static>> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(self.output_bytes)).ok()?;
        Some(Argon2::new(self.algorithm, self.version, params))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Argon2Hash {
    cost: Argon2Cost,
    salt: Vec<u8>,
    output: Secret,
}

impl Argon2Hash {
    pub(super) fn parse(value: &str, scheme: Scheme) -> Result<Self, SchemeError> {
        let malformed = SchemeError::Malformed(scheme.name());
        let hash = PasswordHash::new(value).map_err(|_| malformed)?;
        let algorithm = Algorithm::try_from(hash.algorithm).map_err(|_| malformed)?;
        let version = match hash.version {
            Some(version) => Version::try_from(version).map_err(|_| malformed)?,
            // A hash without a version is of the first one.
            None => Version::V0x10,
        };
        let params = Params::try_from(&hash).map_err(|_| malformed)?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return Err(malformed);
        }
        let (memory_kib, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        if memory_kib > MEMORY_KIB_MAX || memory_kib.saturating_mul(passes) > WORK_KIB_MAX || lanes > LANES_MAX {
            return Err(SchemeError::TooCostly(scheme.name()));
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err(malformed) };
        let mut salt_bytes = [0; 64];
        let salt = salt.decode_b64(&mut salt_bytes).map_err(|_| malformed)?.to_vec();
        if salt.len() < argon2::MIN_SALT_LEN {
            return Err(malformed);
        }
        let cost = Argon2Cost { algorithm, version, memory_kib, passes, lanes, output_bytes: output.len() };
        Ok(Self { cost, salt, output: Secret::new(output.as_bytes()) })
    }

    pub(super) fn cost(&self) -> Cost {
        Cost::Argon2(self.cost)
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        self.cost.hash(password, &self.salt).is_some_and(|made| self.output.equals(&made))
    }
}

/// A new hash, `{ARGON2ID}` before it. Nothing if the password is outside Argon2's bounds, which [`Secret::is_password`] rules out.
pub(crate) fn hash_argon2id(password: &[u8], salt: &[u8; 16]) -> Option<String> {
    let output = ARGON2_MADE_HERE.hash(password, salt)?;
    let salt = SaltString::encode_b64(salt).ok()?;
    let hash = PasswordHash {
        algorithm: Ident::from(ARGON2_MADE_HERE.algorithm),
        version: Some(ARGON2_MADE_HERE.version.into()),
        params: ParamsString::try_from(ARGON2_MADE_HERE.engine()?.params()).ok()?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&output).ok()?),
    };
    Some(format!("{{{}}}{hash}", Scheme::Argon2id.name()))
}
