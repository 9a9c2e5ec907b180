//! The index: every row, and where every body lies, in one redb file.

mod backend;
mod key;
mod read;
mod sent;
mod shard;
mod table;
mod wanted;
mod write;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase};

pub(crate) use backend::{Backend, IndexFile};
pub(crate) use key::{OwnerKey, owner, owners_of, parse_owner, resident};
pub use read::{ReadRows, ReadTxn};
pub use sent::Sent;
pub(crate) use shard::{Enough, ImportMark, Step};
pub use table::PackLive;
pub(crate) use table::{LOCATIONS, Mark, Meta, PACKS, RESIDENTS, WANTED};
pub use wanted::Wanted;
pub use write::{Applied, WriteRows, WriteTxn};

use crate::fs::File;

/// Memory for writing a copy.
const COPY_CACHE: usize = 16 << 20;

/// The index cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("the index cannot be used: {0}")]
    Redb(#[source] Box<redb::Error>),
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
    /// It is as it was at the last checkpoint; [`crate::Store::recover_index`] opens it again.
    #[error("the index failed and has not been recovered yet")]
    Failed,
}

macro_rules! from_redb {
    ($($kind:ident),*) => {
        $(impl From<redb::$kind> for IndexError {
            fn from(error: redb::$kind) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        })*
    };
}
from_redb!(StorageError, TableError, TransactionError, CommitError, DatabaseError, SetDurabilityError);

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    db: Database,
    file: Arc<IndexFile>,
}

impl Index {
    /// Makes an empty index in an empty file, durably.
    pub(crate) fn create(file: Arc<dyn File>, meta: &Meta, mark: &Mark) -> Result<(), IndexError> {
        let db = Database::builder().create_with_backend(Backend(IndexFile::new(file)))?;
        let mut txn = db.begin_write()?;
        txn.set_quick_repair(true);
        table::make(&txn, meta, mark)?;
        txn.commit()?;
        db.close()?;
        Ok(())
    }

    /// Writes a snapshot to an empty file, durably: an index of its own.
    pub(crate) fn copy(snapshot: &ReadTxn, file: Arc<dyn File>) -> Result<(), IndexError> {
        let (meta, mark) = snapshot.meta()?;
        let db = Database::builder().set_cache_size(COPY_CACHE).create_with_backend(Backend(IndexFile::new(file)))?;
        let mut txn = db.begin_write()?;
        txn.set_quick_repair(true);
        table::make(&txn, &Meta { written: 0, ..meta }, &mark)?;
        table::copy(snapshot.redb(), &txn)?;
        txn.commit()?;
        db.close()?;
        Ok(())
    }

    /// Opens the index as it was when it was last made durable.
    pub(crate) fn open(
        file: Arc<dyn File>,
        cache_bytes: usize,
        verify: bool,
    ) -> Result<(Self, Meta, Mark), IndexError> {
        // redb would take an empty file for a new index, and every message would be gone.
        let empty = file.len().map_err(redb::StorageError::from)? == 0;
        if empty {
            return Err(IndexError::Damaged("its file is empty"));
        }
        let file = IndexFile::new(file);
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(verify);
        // redb believes pages, and panics over some that are damaged.
        let open = AssertUnwindSafe(|| builder.create_with_backend(Backend(file.clone())));
        let db = panic::catch_unwind(open).map_err(|_| IndexError::Damaged("redb cannot make sense of it"))??;
        let (meta, mark) = table::read_meta(&db.begin_read()?)?;
        table::make_missing(&db)?;
        file.set_written(meta.written);
        Ok((Self { db, file }, meta, mark))
    }

    pub(crate) fn file(&self) -> &Arc<IndexFile> {
        &self.file
    }

    /// A snapshot, which keeps `readers` alive as long as itself.
    pub(crate) fn read(&self, readers: Arc<()>) -> Result<ReadTxn, IndexError> {
        self.file.check_failed()?;
        ReadTxn::new(self.db.begin_read()?, readers)
    }

    /// One transaction. `change` changes rows, `end` learns which records that applied and says what the commit writes beside
    /// them and whether it waits for the disk.
    pub(crate) fn write<T, E: From<IndexError>>(
        &self,
        change: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E>,
        end: impl FnOnce(&[Record]) -> (Mark, u64, Commit),
    ) -> Result<T, E> {
        self.file.check_failed()?;
        let mut txn = self.db.begin_write().map_err(IndexError::from)?;
        let mut tables = WriteTxn::new(&txn)?;
        let value = match change(&mut tables) {
            Ok(value) => value,
            Err(error) => {
                drop(tables);
                // When this fails too the file's own flag says so to the next who asks.
                let _ = txn.abort();
                return Err(error);
            }
        };
        let applied = tables.finish()?;
        let (mark, next_single, commit) = end(&applied);
        table::write_meta(&txn, self.file.written(), next_single, &mark)?;
        match commit {
            Commit::Visible => txn.set_durability(Durability::None).map_err(IndexError::from)?,
            // With it the next open after a crash need not walk the whole file.
            Commit::Durable => txn.set_quick_repair(true),
        }
        txn.commit().map_err(IndexError::from)?;
        Ok(value)
    }
}

/// A record that was applied: its shard and its sequence.
pub(crate) type Record = (paquebot_types::ShardId, paquebot_types::Sequence);

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Readers see it; a crash may take it back.
    Visible,
    /// It is on disk.
    Durable,
}
