//! A snapshot of the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use paquebot_model::{Rows, RowsError, Scan};
use paquebot_types::{AccountId, BlobId, Sequence, ShardId};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::key::ResidentKey;
use super::table::{self, LOCATIONS, Mark, Meta, PACKS, PackLive, RESIDENTS, ROWS, SHARDS};
use super::write::Applied;
use super::{IndexError, OwnerKey, key};
use crate::location::{Location, PackId};

/// The index as it was at one moment. A clone is the same moment, for the price of a counter.
///
/// While it lives the index keeps the pages it shows, and packs that were emptied since; so it is held for a command, not for a
/// session.
#[derive(Clone)]
pub struct ReadTxn(Arc<Snapshot>);

struct Snapshot {
    txn: ReadTransaction,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    locations: ReadOnlyTable<&'static OwnerKey, &'static [u8; Location::BYTES]>,
    /// Kept to keep packs: see [`crate::Store::reclaim`].
    _readers: Arc<()>,
}

/// The rows of one shard in a [`ReadTxn`].
#[derive(Clone)]
pub struct ReadRows {
    txn: ReadTxn,
    shard: ShardId,
}

impl ReadTxn {
    pub(crate) fn new(txn: ReadTransaction, readers: Arc<()>) -> Result<Self, IndexError> {
        let rows = txn.open_table(ROWS)?;
        let locations = txn.open_table(LOCATIONS)?;
        Ok(Self(Arc::new(Snapshot { txn, rows, locations, _readers: readers })))
    }

    /// The rows of a shard; a shard that nothing was applied to has none.
    pub fn rows(&self, shard: ShardId) -> ReadRows {
        ReadRows { txn: self.clone(), shard }
    }

    /// Where a body lies; `None` for one that was never applied or has been removed.
    pub fn location(&self, shard: ShardId, account: AccountId, blob: BlobId) -> Result<Option<Location>, IndexError> {
        self.owner_location(&key::owner(shard, account, blob))
    }

    /// The last record applied to a shard; sequence 0 and a chain of zeros before the first.
    pub fn applied(&self, shard: ShardId) -> Result<Applied, IndexError> {
        let applied = self.0.txn.open_table(SHARDS)?.get(shard.0)?;
        Ok(applied.map_or_else(Applied::default, |applied| Applied::from_bytes(applied.value())))
    }

    /// Every shard that a record was applied to, ascending.
    pub fn shards(&self) -> Result<Vec<(ShardId, Sequence)>, IndexError> {
        let table = self.0.txn.open_table(SHARDS)?;
        let mut shards = Vec::new();
        for row in table.iter()? {
            let (shard, applied) = row?;
            shards.push((ShardId(shard.value()), Applied::from_bytes(applied.value()).sequence));
        }
        Ok(shards)
    }

    /// What of a pack is alive.
    pub(crate) fn pack_live(&self, pack: PackId) -> Result<PackLive, IndexError> {
        let live = self.0.txn.open_table(PACKS)?.get(pack.0)?;
        Ok(live.map_or_else(PackLive::default, |live| PackLive::from_bytes(live.value())))
    }

    /// Whether some location names the pack.
    pub(crate) fn pack_lives(&self, pack: PackId) -> Result<bool, IndexError> {
        let table = self.0.txn.open_table(RESIDENTS)?;
        let (first, last) = key::residents_of(pack);
        Ok(table.range::<&ResidentKey>(&first..=&last)?.next().transpose()?.is_some())
    }

    /// The owners of each body in a pack, by the bodies' offsets.
    pub(crate) fn residents(&self, pack: PackId) -> Result<BTreeMap<u64, Vec<OwnerKey>>, IndexError> {
        let table = self.0.txn.open_table(RESIDENTS)?;
        let (first, last) = key::residents_of(pack);
        let mut residents: BTreeMap<u64, Vec<OwnerKey>> = BTreeMap::new();
        for row in table.range::<&ResidentKey>(&first..=&last)? {
            let (_, offset, owner) = key::parse_resident(row?.0.value());
            residents.entry(offset).or_default().push(owner);
        }
        Ok(residents)
    }

    /// Packs that some location names.
    pub(crate) fn named_packs(&self) -> Result<BTreeSet<PackId>, IndexError> {
        let table = self.0.txn.open_table(RESIDENTS)?;
        let (mut packs, mut from) = (BTreeSet::new(), PackId(0));
        // A seek for each pack, not a step for each body.
        loop {
            let (start, _) = key::residents_of(from);
            let Some(row) = table.range::<&ResidentKey>(&start..)?.next() else { return Ok(packs) };
            let (pack, _, _) = key::parse_resident(row?.0.value());
            packs.insert(pack);
            let Some(next) = pack.0.checked_add(1) else { return Ok(packs) };
            from = PackId(next);
        }
    }

    /// Packs of single bodies that nothing names any more.
    pub(crate) fn dead_singles(&self) -> Result<Vec<PackId>, IndexError> {
        let table = self.0.txn.open_table(PACKS)?;
        table.range(PackId::single(0).0..)?.map(|row| Ok(PackId(row?.0.value()))).collect()
    }

    /// Whether the pack had a body that was named once.
    pub(crate) fn is_dead_single(&self, pack: PackId) -> Result<bool, IndexError> {
        Ok(pack.is_single() && self.0.txn.open_table(PACKS)?.get(pack.0)?.is_some())
    }

    pub(crate) fn owner_location(&self, owner: &OwnerKey) -> Result<Option<Location>, IndexError> {
        let location = self.0.locations.get(owner)?;
        Ok(location.map(|location| Location::from_bytes(location.value())))
    }

    pub(crate) fn redb(&self) -> &ReadTransaction {
        &self.0.txn
    }

    pub(crate) fn meta(&self) -> Result<(Meta, Mark), IndexError> {
        table::read_meta(&self.0.txn)
    }
}

impl ReadRows {
    /// Shows the value of a row without copying it; `None` if there is no such row.
    pub fn get_with<T>(&self, key: &[u8], see: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, RowsError> {
        let value = key::with_row(self.shard, key, |key| self.txn.0.rows.get(key)).map_err(rows_error)?;
        Ok(value.map(|value| see(value.value())))
    }
}

impl Rows for ReadRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        self.get_with(key, <[u8]>::to_vec)
    }

    fn scan(&self, from: &[u8], to: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> Scan) -> Result<(), RowsError> {
        scan(&self.txn.0.rows, self.shard, from, to, see).map_err(rows_error)
    }
}

/// Shows the rows of a shard with `from <= key < to`.
pub(super) fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    shard: ShardId,
    from: &[u8],
    to: &[u8],
    see: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
) -> Result<(), redb::StorageError> {
    if from >= to {
        return Ok(());
    }
    let range = key::with_row(shard, from, |from| key::with_row(shard, to, |to| table.range(from..to)))?;
    for row in range {
        let (key, value) = row?;
        let key = key.value().get(2..).unwrap_or_default();
        if see(key, value.value()) == Scan::Stop {
            break;
        }
    }
    Ok(())
}

pub(super) fn rows_error(error: redb::StorageError) -> RowsError {
    RowsError(Box::new(IndexError::from(error)))
}
