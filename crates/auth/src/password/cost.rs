//! The work of a verification, as a value: spent without a hash for names that do not exist, compared in tests instead of clocks.

use super::argon::{ARGON2_MADE_HERE, Argon2Cost};
use super::crypt::{bcrypt, sha_crypt};
use super::digest::Sha;
use crate::scram_keys::salted_password;

/// What it takes to check a password against a stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// A comparison or one digest.
    Cheap,
    ShaCrypt {
        sha: Sha,
        rounds: u32,
    },
    Bcrypt {
        cost: u32,
    },
    Argon2(Argon2Cost),
    Pbkdf2 {
        iterations: u32,
    },
}

impl Cost {
    /// The cost of the hashes that [`Credentials::create`](crate::Credentials::create) makes.
    pub const MADE_HERE: Self = Self::Argon2(ARGON2_MADE_HERE);

    /// Does the work for `password` and forgets the result.
    pub fn spend(self, password: &[u8]) {
        let salt = [0x5a; 16];
        // Without `black_box` the compiler might see that nobody looks at the result and leave the work out.
        match self {
            Self::Cheap => {}
            Self::ShaCrypt { sha, rounds } => {
                std::hint::black_box(sha_crypt(sha, rounds, password, "abcdefghijklmnop"));
            }
            Self::Bcrypt { cost } => {
                std::hint::black_box(bcrypt(cost, salt, password));
            }
            Self::Argon2(cost) => {
                std::hint::black_box(cost.hash(password, &salt));
            }
            Self::Pbkdf2 { iterations } => {
                std::hint::black_box(salted_password(password, &salt, iterations));
            }
        }
    }
}
