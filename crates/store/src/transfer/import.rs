//! A snapshot of a shard, from another machine.

use std::io;
use std::sync::atomic::Ordering;

use paquebot_types::{BlobHash, ShardId};

use super::rows::{self, Row};
use super::{BlobOf, Turn};
use crate::Store;
use crate::index::{Applied, Commit, ImportMark, IndexError, OwnerKey, Step, WriteTxn, owner};
use crate::location::Location;
use crate::pack::ReadError;

/// Locations that one transaction removes, at most.
const REMOVED_AT_ONCE: usize = 2048;

/// Why a shard was not taken in. It stays out of use until another import or [`Store::drop_shard`] is through.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("the disk is full: free some space in the data directory's file system")]
    Full(#[source] io::Error),
    #[error("cannot read a body that may be kept")]
    Read(#[from] ReadError),
    #[error("shard {shard}: is being taken in or dropped already")]
    Busy { shard: ShardId },
    #[error("shard {shard}: the snapshot is damaged: {what}")]
    Rows { shard: ShardId, what: &'static str },
    #[error("shard {shard}: the rows that came are not those that were sent")]
    Hash { shard: ShardId },
    /// The index failed and was opened again as it was earlier: the import has to begin again.
    #[error("shard {shard}: the index lost a part of the snapshot")]
    Interrupted { shard: ShardId },
}

/// A shard that is being taken in. Dropped before [`Import::finish`] has succeeded, it stays out of use.
///
/// Nobody may apply records to the shard meanwhile.
#[derive(Debug)]
pub struct Import {
    turn: Turn,
    blob_of: BlobOf,
    mark: ImportMark,
    hasher: blake3::Hasher,
    /// The last row that came.
    last_key: Option<Vec<u8>>,
    /// The last body that a row named. Locations up to it are settled.
    last_owner: Option<OwnerKey>,
}

/// A body that a row of a chunk names, and whether it is here.
struct Named {
    owner: OwnerKey,
    hash: BlobHash,
    is_here: bool,
}

impl Store {
    /// Begins to take a shard in: what the index had of it goes, but for the locations of bodies, of which those stay that the snapshot
    /// names with the same hash. `blob_of` is the model's.
    pub fn begin_import(&self, shard: ShardId, blob_of: BlobOf) -> Result<Import, ImportError> {
        let turn = Turn::take(self, shard).ok_or(ImportError::Busy { shard })?;
        let mark = ImportMark { import: self.inner().imports.fetch_add(1, Ordering::Relaxed) + 1, chunks: 0 };
        loop {
            self.inner().make_room_to_remove();
            let removed = self.write(|txn| -> Result<Step, IndexError> {
                let mut step = Step::default();
                txn.put_out_of_use(shard, mark)?;
                txn.remove_rows(shard, &mut step)?;
                txn.remove_wanted(shard, &mut step)?;
                Ok(step)
            })?;
            self.inner().index_grew(removed.bytes);
            if !removed.is_full() {
                break;
            }
        }
        let hasher = blake3::Hasher::new();
        Ok(Import { turn, blob_of, mark, hasher, last_key: None, last_owner: None })
    }

    /// Shards that are out of use: their import or removal was begun and is not finished, by this process or one before it. Both can be
    /// begun again.
    pub fn importing(&self) -> Result<Vec<ShardId>, IndexError> {
        self.read()?.importing()
    }
}

impl Import {
    /// The shard that is taken in.
    pub fn shard(&self) -> ShardId {
        self.turn.shard
    }

    /// Takes the next chunk in, as [`crate::Export::next_chunk`] gave it. After an error the import cannot go on.
    pub fn rows(&mut self, chunk: &[u8]) -> Result<(), ImportError> {
        let shard = self.shard();
        let damaged = |what| ImportError::Rows { shard, what };
        let rows = rows::parse(chunk).ok_or_else(|| damaged("a chunk does not hold whole rows"))?;
        let Some((last_key, _)) = rows.last() else { return Ok(()) };
        let before = self.last_key.as_deref().into_iter().chain(rows.iter().map(|(key, _)| *key));
        if !before.is_sorted_by(|a, b| a < b) {
            return Err(damaged("its rows are not in order"));
        }
        let named = self.named(&rows)?;
        if !named.is_sorted_by(|a, b| a.owner < b.owner)
            || named.first().zip(self.last_owner).is_some_and(|(first, last)| first.owner <= last)
        {
            return Err(damaged("its bodies are not in order"));
        }
        let named = match named.last().map(|last| last.owner) {
            Some(last) => {
                let named = self.settle(named, Some(last))?;
                self.last_owner = Some(last);
                named
            }
            None => named,
        };
        self.turn.store.inner().make_room(true).map_err(ImportError::Full)?;
        let next = ImportMark { chunks: self.mark.chunks + 1, ..self.mark };
        self.turn.store.write(|txn| -> Result<(), ImportError> {
            self.expect_own(txn)?;
            txn.put_out_of_use(shard, next)?;
            for (key, value) in &rows {
                txn.insert_row(shard, key, value)?;
            }
            for body in &named {
                // One that was here may have moved since, or been found damaged.
                if !body.is_here || txn.owner_location(&body.owner)?.is_none() {
                    txn.want_owner(&body.owner, body.hash)?;
                }
            }
            Ok(())
        })?;
        self.turn.store.inner().index_grew(chunk.len());
        self.mark = next;
        self.last_key = Some(last_key.to_vec());
        self.hasher.update(chunk);
        Ok(())
    }

    /// Puts the shard into use, durably, if all rows came: those of which the sender says that their hash is `state_hash`.
    pub fn finish(self, applied: Applied, state_hash: [u8; 32]) -> Result<(), ImportError> {
        let shard = self.shard();
        if *self.hasher.finalize().as_bytes() != state_hash {
            return Err(ImportError::Hash { shard });
        }
        self.settle(Vec::new(), None)?;
        // Read again from the index, so that what is in use is what was sent, whatever happened on the way.
        if self.turn.store.read()?.state_hash(shard)? != state_hash {
            return Err(ImportError::Interrupted { shard });
        }
        let inner = self.turn.store.inner();
        let _writer = inner.writer.lock();
        let put_into_use = |txn: &mut WriteTxn<'_>| {
            self.expect_own(txn)?;
            Ok(txn.put_into_use(shard, Some(applied))?)
        };
        inner.change(put_into_use, Commit::Durable)
    }

    fn named(&self, rows: &[Row<'_>]) -> Result<Vec<Named>, ImportError> {
        let mut named = Vec::new();
        for (key, value) in rows {
            if let Some((account, blob, hash)) = (self.blob_of)(key, value) {
                named.push(Named { owner: owner(self.shard(), account, blob), hash, is_here: false });
            }
        }
        Ok(named)
    }

    /// Looks at the locations between the last body and `to` (or the shard's end): those of bodies in `named` stay if the body there is
    /// the one that is named, the others go.
    fn settle(&self, mut named: Vec<Named>, to: Option<OwnerKey>) -> Result<Vec<Named>, ImportError> {
        let snapshot = self.turn.store.read()?;
        let mut gone = Vec::new();
        for (owner, location) in snapshot.locations_in(self.shard(), self.last_owner.as_ref(), to.as_ref())? {
            let body = named.binary_search_by_key(&owner, |body| body.owner).ok().and_then(|at| named.get_mut(at));
            match body {
                Some(body) if self.is_the_one(location, body.hash)? => body.is_here = true,
                _ => gone.push(owner),
            }
        }
        drop(snapshot);
        for gone in gone.chunks(REMOVED_AT_ONCE) {
            self.turn.store.write(|txn| {
                self.expect_own(txn)?;
                gone.iter().try_for_each(|owner| txn.forget_location(owner).map(drop).map_err(ImportError::from))
            })?;
        }
        Ok(named)
    }

    /// Nothing may be changed in an index that is not as this import has left it: the shard may be in use there.
    fn expect_own(&self, txn: &WriteTxn<'_>) -> Result<(), ImportError> {
        let shard = self.shard();
        if txn.is_at(shard, self.mark)? { Ok(()) } else { Err(ImportError::Interrupted { shard }) }
    }

    /// Whether the body at a location was written with this hash.
    fn is_the_one(&self, location: Location, hash: BlobHash) -> Result<bool, ReadError> {
        match self.turn.store.body_file_anywhere(location) {
            Ok(file) => Ok(file.hash() == hash),
            Err(ReadError::Corrupt { .. } | ReadError::Gone { .. } | ReadError::Elsewhere { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
