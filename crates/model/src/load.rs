//! What an account's rows are when they move from one shard to another.

use serde::{Deserialize, Serialize};

use crate::record::byte_string;

/// A row of an account on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedRow {
    /// The row's key without the account before it (from [`crate::key::KIND_AT`] on), so that no row can belong to another account.
    #[serde(with = "byte_string")]
    pub key: Vec<u8>,
    #[serde(with = "byte_string")]
    pub value: Vec<u8>,
}

/// How far an account's rows have come. Later is greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LoadedTo {
    /// The last row's key, as in [`LoadedRow`]; empty before the first.
    #[serde(with = "byte_string")]
    pub key: Vec<u8>,
    /// How many octets of its value have come; [`Self::WHOLE`] if all have.
    pub octets: u64,
}

impl LoadedTo {
    /// All octets of a value.
    pub const WHOLE: u64 = u64::MAX;
    /// Before the first row.
    pub const START: Self = Self { key: Vec::new(), octets: Self::WHOLE };
}

/// A digest of rows in their order, by which the target knows that it has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadDigest(pub [u8; 32]);

impl LoadDigest {
    /// The digest with one row more.
    pub fn extend(self, key: &[u8], value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(&(key.len() as u64).to_be_bytes()).update(key).update(value);
        Self(*hasher.finalize().as_bytes())
    }
}
