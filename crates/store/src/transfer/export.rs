//! A snapshot of a shard, for another machine.

use bytes::Bytes;
use paquebot_types::ShardId;

use super::rows;
use crate::Store;
use crate::index::{Applied, IndexError, ReadTxn};

/// Why a shard cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It is being taken in or dropped, or an earlier attempt at that was interrupted.
    #[error("shard {shard}: is not whole on this machine")]
    NotWhole { shard: ShardId },
}

/// A shard's rows at one applied sequence, in chunks. It holds a snapshot of the index, so it is not kept for longer than it takes.
pub struct Export {
    snapshot: ReadTxn,
    shard: ShardId,
    applied: Applied,
    /// The last key that was given.
    after: Option<Vec<u8>>,
    hasher: blake3::Hasher,
    ended: bool,
}

impl Store {
    /// Begins an export of a shard as it is now. A shard that nothing was applied to has no rows, and sequence 0.
    pub fn export(&self, shard: ShardId) -> Result<Export, ExportError> {
        let snapshot = self.read()?;
        if snapshot.is_importing(shard)? {
            return Err(ExportError::NotWhole { shard });
        }
        let applied = snapshot.applied(shard)?;
        Ok(Export { snapshot, shard, applied, after: None, hasher: blake3::Hasher::new(), ended: false })
    }
}

impl Export {
    /// The last record that is in the rows, and the hash chain up to it.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// The next rows, about a mebibyte of them (more if a single row is larger); `None` after the last.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, IndexError> {
        let chunk = rows::chunk(&self.snapshot, self.shard, &mut self.after)?;
        if chunk.is_empty() {
            self.ended = true;
            return Ok(None);
        }
        self.hasher.update(&chunk);
        Ok(Some(chunk.into()))
    }

    /// The hash of all rows, read for it alone: for who must say it first.
    pub fn hash_of_all(&self) -> Result<[u8; 32], IndexError> {
        self.snapshot.state_hash(self.shard)
    }

    /// The hash of all rows, once the last chunk was given; before that `None`. [`ReadTxn::state_hash`] of the same rows is the same.
    pub fn state_hash(&self) -> Option<[u8; 32]> {
        self.ended.then(|| *self.hasher.finalize().as_bytes())
    }
}
