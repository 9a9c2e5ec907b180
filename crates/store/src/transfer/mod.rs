//! A shard as a whole: out of this store, into it, and away.
//!
//! A snapshot of a shard is its rows in key order at one applied sequence, in chunks; the **state hash** is the BLAKE3 hash of all chunks
//! one after another, and does not depend on where they were cut. Bodies are not in it: what is not here already becomes wanted.
//!
//! A shard that is being taken in or dropped is out of use: each step of it is a transaction of its own, and whatever a crash or a failed
//! index leaves of it is found in [`Store::importing`], to be begun again.

mod drop;
mod export;
mod import;
mod rows;

use paquebot_types::{AccountId, BlobHash, BlobId, ShardId};

pub use drop::DropError;
pub use export::{Export, ExportError};
pub use import::{Import, ImportError};

use crate::Store;

/// What the model makes of a row: the body that it names, if it is a blob's row. Rows in key order give bodies in the order of accounts and
/// blobs.
pub type BlobOf = fn(key: &[u8], value: &[u8]) -> Option<(AccountId, BlobId, BlobHash)>;

/// Held by the one that takes a shard in, or drops it.
#[derive(Debug)]
struct Turn {
    store: Store,
    shard: ShardId,
}

impl Turn {
    /// `None` while somebody else has it.
    fn take(store: &Store, shard: ShardId) -> Option<Self> {
        let taken = store.inner().in_transfer.lock().insert(shard);
        taken.then(|| Self { store: store.clone(), shard })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.store.inner().in_transfer.lock().remove(&self.shard);
    }
}
