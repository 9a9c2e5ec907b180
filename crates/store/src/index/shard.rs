//! A shard as a whole: going through its rows, and putting it out of use while it is taken in or dropped.

use std::ops::Bound;

use paquebot_types::{BlobHash, Sequence, ShardId};
use redb::{AccessGuard, ReadOnlyTable, ReadableTable, Table};

use super::key::{self, OwnerKey};
use super::table::{IMPORTS, LOCATIONS, ROWS};
use super::write::Applied;
use super::{IndexError, ReadTxn, WriteTxn};
use crate::location::Location;

/// What one transaction removes of a shard, at most: so many rows, or so many bytes.
const STEP_ROWS: usize = 4096;
const STEP_BYTES: usize = 4 << 20;

/// How far an import has come: who imports, and how many chunks are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImportMark {
    pub import: u64,
    pub chunks: u64,
}

/// What a step of removing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    rows: usize,
    pub bytes: usize,
}

impl Step {
    fn count(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    /// Whether the step ended at its bounds, so that more may be there.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= STEP_ROWS || self.bytes >= STEP_BYTES
    }
}

impl ImportMark {
    /// Of a shard that is being dropped. Imports are numbered from 1.
    pub(crate) const DROPPING: Self = Self { import: 0, chunks: 0 };

    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.import.to_be_bytes());
        bytes[8..].copy_from_slice(&self.chunks.to_be_bytes());
        bytes
    }
}

impl ReadTxn {
    /// Shards that are out of use: their import or removal has begun and is not finished. They have no sequence, and their rows say nothing.
    pub fn importing(&self) -> Result<Vec<ShardId>, IndexError> {
        let table = self.redb().open_table(IMPORTS)?;
        table.iter()?.map(|row| Ok(ShardId(row?.0.value()))).collect()
    }

    /// Whether a shard is out of use.
    pub fn is_importing(&self, shard: ShardId) -> Result<bool, IndexError> {
        Ok(self.redb().open_table(IMPORTS)?.get(shard.0)?.is_some())
    }

    /// The greatest number that an import had whose shard is still out of use.
    pub(crate) fn last_import(&self) -> Result<u64, IndexError> {
        let mut last = 0;
        for row in self.redb().open_table(IMPORTS)?.iter()? {
            let mut import = [0; 8];
            import.copy_from_slice(&row?.1.value()[..8]);
            last = last.max(u64::from_be_bytes(import));
        }
        Ok(last)
    }

    /// Shows the rows of a shard after a key, ascending, until `see` says that it has enough.
    pub(crate) fn rows_after(
        &self,
        shard: ShardId,
        after: Option<&[u8]>,
        mut see: impl FnMut(&[u8], &[u8]) -> Enough,
    ) -> Result<(), IndexError> {
        let prefix = shard.0.to_be_bytes();
        let after = after.map(|after| [&prefix, after].concat());
        let from = after.as_deref().map_or(Bound::Included(prefix.as_slice()), Bound::Excluded);
        let table: ReadOnlyTable<&[u8], &[u8]> = self.redb().open_table(ROWS)?;
        for row in table.range::<&[u8]>((from, Bound::Unbounded))? {
            let (key, value) = row?;
            let Some(key) = key.value().strip_prefix(&prefix) else { break };
            if see(key, value.value()) == Enough::Yes {
                break;
            }
        }
        Ok(())
    }

    /// The locations of owners after `after` (or of the shard's first) up to `to`, both of one shard.
    pub(crate) fn locations_in(
        &self,
        shard: ShardId,
        after: Option<&OwnerKey>,
        to: Option<&OwnerKey>,
    ) -> Result<Vec<(OwnerKey, Location)>, IndexError> {
        let (first, last) = key::owners_of(shard);
        let from = after.map_or(Bound::Included(&first), Bound::Excluded);
        let table = self.redb().open_table(LOCATIONS)?;
        let mut locations = Vec::new();
        for row in table.range::<&OwnerKey>((from, Bound::Included(to.unwrap_or(&last))))? {
            let (owner, location) = row?;
            locations.push((*owner.value(), Location::from_bytes(location.value())));
        }
        Ok(locations)
    }
}

/// Whether a scan ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    Yes,
    No,
}

impl WriteTxn<'_> {
    /// Puts a shard out of use. Records of it that wait in this store's log wait no more.
    pub(crate) fn put_out_of_use(&mut self, shard: ShardId, mark: ImportMark) -> Result<(), IndexError> {
        self.txn.open_table(IMPORTS)?.insert(shard.0, &mark.to_bytes())?;
        self.shards.remove(shard.0)?;
        self.applied.push((shard, Sequence(u64::MAX)));
        Ok(())
    }

    /// Puts a shard into use again: what `applied` says is in it, or nothing at all.
    pub(crate) fn put_into_use(&mut self, shard: ShardId, applied: Option<Applied>) -> Result<(), IndexError> {
        self.txn.open_table(IMPORTS)?.remove(shard.0)?;
        match applied {
            Some(applied) => self.set_applied(shard, applied.sequence, applied.chain),
            None => Ok(()),
        }
    }

    /// Whether the import of a shard has come as far as `mark`, and no further.
    pub(crate) fn is_at(&self, shard: ShardId, mark: ImportMark) -> Result<bool, IndexError> {
        let table = self.txn.open_table(IMPORTS)?;
        let found = table.get(shard.0)?.map(|found| *found.value());
        Ok(found == Some(mark.to_bytes()))
    }

    pub(crate) fn insert_row(&mut self, shard: ShardId, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        key::with_row(shard, key, |key| self.rows.insert(key, value).map(drop))?;
        Ok(())
    }

    /// Removes some of a shard's rows.
    pub(crate) fn remove_rows(&mut self, shard: ShardId, step: &mut Step) -> Result<(), IndexError> {
        let prefix = shard.0.to_be_bytes();
        while !step.is_full() {
            let next = first_from(&self.rows, prefix.as_slice())?;
            let Some(key) = next.filter(|key| key.value().starts_with(&prefix)).map(|key| key.value().to_vec()) else {
                return Ok(());
            };
            if let Some(value) = self.rows.remove(key.as_slice())? {
                step.count(key.len() + value.value().len());
            }
        }
        Ok(())
    }

    /// Removes some of a shard's wants.
    pub(crate) fn remove_wanted(&mut self, shard: ShardId, step: &mut Step) -> Result<(), IndexError> {
        let (first, last) = key::owners_of(shard);
        let wanted = self.wanted()?;
        while !step.is_full() {
            let next = wanted.range::<&OwnerKey>(&first..=&last)?.next().transpose()?;
            let Some(owner) = next.map(|(owner, _)| *owner.value()) else { return Ok(()) };
            wanted.remove(&owner)?;
            step.count(size_of::<OwnerKey>() + size_of::<BlobHash>());
        }
        Ok(())
    }

    /// Removes some of a shard's locations.
    pub(crate) fn remove_locations(&mut self, shard: ShardId, step: &mut Step) -> Result<(), IndexError> {
        let (first, last) = key::owners_of(shard);
        while !step.is_full() {
            let next = self.locations.range::<&OwnerKey>(&first..=&last)?.next().transpose()?;
            let Some(owner) = next.map(|(owner, _)| *owner.value()) else { return Ok(()) };
            self.forget_location(&owner)?;
            step.count(2 * (size_of::<OwnerKey>() + Location::BYTES));
        }
        Ok(())
    }
}

/// The first key from `from` on.
fn first_from<'a>(
    table: &'a Table<'_, &'static [u8], &'static [u8]>,
    from: &[u8],
) -> Result<Option<AccessGuard<'a, &'static [u8]>>, IndexError> {
    let next = table.range::<&[u8]>(from..)?.next().transpose()?;
    Ok(next.map(|(key, _)| key))
}
