//! Changing the index: what a batch of applied records does to it, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use paquebot_model::{RowChange, Rows, RowsError, Scan};
use paquebot_types::{AccountId, BlobId, Sequence, ShardId};
use redb::{ReadableTable, Table, WriteTransaction};

use super::IndexError;
use super::key::{self, OwnerKey, ResidentKey};
use super::read::{rows_error, scan};
use super::table::{LOCATIONS, PACKS, PackLive, RESIDENTS, ROWS, SHARDS};
use crate::location::{Location, PackId};

/// How far a shard's log is applied: the last record, and the hash chain up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    pub sequence: Sequence,
    pub chain: [u8; 32],
}

impl Applied {
    pub(super) fn from_bytes(bytes: &[u8; 40]) -> Self {
        let (mut sequence, mut chain) = ([0; 8], [0; 32]);
        sequence.copy_from_slice(&bytes[..8]);
        chain.copy_from_slice(&bytes[8..]);
        Self { sequence: Sequence(u64::from_be_bytes(sequence)), chain }
    }

    fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.sequence.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.chain);
        bytes
    }
}

/// A change of the index in progress: made by [`crate::Store::write`], seen by nobody else until that returns.
pub struct WriteTxn<'t> {
    pub(super) rows: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) shards: Table<'t, u16, &'static [u8; 40]>,
    pub(super) locations: Table<'t, &'static OwnerKey, &'static [u8; Location::BYTES]>,
    pub(super) residents: Table<'t, &'static ResidentKey, ()>,
    packs: Table<'t, u64, &'static [u8; 16]>,
    pub(super) wanted: Option<Table<'t, &'static OwnerKey, &'static [u8; 32]>>,
    pub(super) txn: &'t WriteTransaction,
    /// Packs of the log whose live bytes change, as they then are.
    live: BTreeMap<PackId, PackLive>,
    /// Packs of single bodies that may begin or cease to live.
    singles: BTreeSet<PackId>,
    pub(super) applied: Vec<(ShardId, Sequence)>,
}

/// The rows of one shard as a [`WriteTxn`] has made them so far.
pub struct WriteRows<'a, 't> {
    txn: &'a WriteTxn<'t>,
    shard: ShardId,
}

impl<'t> WriteTxn<'t> {
    pub(super) fn new(txn: &'t WriteTransaction) -> Result<Self, IndexError> {
        Ok(Self {
            rows: txn.open_table(ROWS)?,
            shards: txn.open_table(SHARDS)?,
            locations: txn.open_table(LOCATIONS)?,
            residents: txn.open_table(RESIDENTS)?,
            packs: txn.open_table(PACKS)?,
            wanted: None,
            txn,
            live: BTreeMap::new(),
            singles: BTreeSet::new(),
            applied: Vec::new(),
        })
    }

    /// The rows of a shard, with the changes made so far.
    pub fn rows(&self, shard: ShardId) -> WriteRows<'_, 't> {
        WriteRows { txn: self, shard }
    }

    /// Changes rows of a shard.
    pub fn change(&mut self, shard: ShardId, changes: &[RowChange]) -> Result<(), IndexError> {
        for change in changes {
            key::with_row(shard, &change.key, |key| -> Result<(), IndexError> {
                match &change.value {
                    Some(value) => self.rows.insert(key, value.as_slice())?,
                    None => self.rows.remove(key)?,
                };
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Where a body lies, with the changes made so far.
    pub fn location(&self, shard: ShardId, account: AccountId, blob: BlobId) -> Result<Option<Location>, IndexError> {
        self.owner_location(&key::owner(shard, account, blob))
    }

    pub(crate) fn owner_location(&self, owner: &OwnerKey) -> Result<Option<Location>, IndexError> {
        let location = self.locations.get(owner)?;
        Ok(location.map(|location| Location::from_bytes(location.value())))
    }

    /// Says where a body lies, in place of what was said before; it is no longer wanted. Several blobs may share one place.
    ///
    /// The location comes from the group that brought the body, from the tail, or from [`WriteTxn::location`] of this transaction:
    /// one that was read earlier may be of a pack that is about to be removed.
    pub fn set_location(
        &mut self,
        shard: ShardId,
        account: AccountId,
        blob: BlobId,
        location: Location,
    ) -> Result<(), IndexError> {
        self.set_owner_location(&key::owner(shard, account, blob), location)
    }

    pub(crate) fn set_owner_location(&mut self, owner: &OwnerKey, location: Location) -> Result<(), IndexError> {
        let before = self.locations.insert(owner, &location.to_bytes())?.map(|old| Location::from_bytes(old.value()));
        if before == Some(location) {
            return Ok(());
        }
        match before {
            Some(before) => self.leave(owner, before)?,
            None => drop(self.wanted()?.remove(owner)?),
        }
        if location.pack.is_single() {
            self.singles.insert(location.pack);
        } else if !self.lives(location)? {
            let live = self.live(location.pack)?;
            live.bytes = live.bytes.saturating_add(location.len);
            live.bodies = live.bodies.saturating_add(1);
        }
        self.residents.insert(&key::resident(location.pack, location.offset, owner), ())?;
        Ok(())
    }

    /// Forgets a body: where it lies, or that it is wanted. Its bytes are given back later, once nothing else names them.
    pub fn remove_location(&mut self, shard: ShardId, account: AccountId, blob: BlobId) -> Result<(), IndexError> {
        let owner = key::owner(shard, account, blob);
        if self.forget_location(&owner)?.is_none() {
            self.wanted()?.remove(&owner)?;
        }
        Ok(())
    }

    /// Takes an owner's location away, and says which it was.
    pub(crate) fn forget_location(&mut self, owner: &OwnerKey) -> Result<Option<Location>, IndexError> {
        let before = self.locations.remove(owner)?.map(|old| Location::from_bytes(old.value()));
        if let Some(before) = before {
            self.leave(owner, before)?;
        }
        Ok(before)
    }

    /// The last record applied to a shard; sequence 0 and a chain of zeros before the first.
    pub fn applied(&self, shard: ShardId) -> Result<Applied, IndexError> {
        let applied = self.shards.get(shard.0)?;
        Ok(applied.map_or_else(Applied::default, |applied| Applied::from_bytes(applied.value())))
    }

    /// Says that every record of a shard up to `sequence` is applied: in this transaction, or before.
    pub fn set_applied(&mut self, shard: ShardId, sequence: Sequence, chain: [u8; 32]) -> Result<(), IndexError> {
        self.shards.insert(shard.0, &Applied { sequence, chain }.to_bytes())?;
        self.applied.push((shard, sequence));
        Ok(())
    }

    /// Strikes a removed pack of a single body from the list of dead ones.
    pub(crate) fn forget_single(&mut self, pack: PackId) -> Result<(), IndexError> {
        self.packs.remove(pack.0)?;
        Ok(())
    }

    /// Writes the counters out; what was applied is told to the log's bookkeeping once the commit is done.
    pub(super) fn finish(mut self) -> Result<Vec<(ShardId, Sequence)>, IndexError> {
        for (pack, live) in std::mem::take(&mut self.live) {
            if live.bodies == 0 {
                self.packs.remove(pack.0)?;
            } else {
                self.packs.insert(pack.0, &live.to_bytes())?;
            }
        }
        for pack in std::mem::take(&mut self.singles) {
            let (first, last) = key::residents_of(pack);
            if self.residents.range::<&ResidentKey>(&first..=&last)?.next().transpose()?.is_some() {
                self.packs.remove(pack.0)?;
            } else {
                self.packs.insert(pack.0, &PackLive::default().to_bytes())?;
            }
        }
        Ok(self.applied)
    }

    /// Takes an owner from a place.
    fn leave(&mut self, owner: &OwnerKey, place: Location) -> Result<(), IndexError> {
        self.residents.remove(&key::resident(place.pack, place.offset, owner))?;
        if place.pack.is_single() {
            self.singles.insert(place.pack);
        } else if !self.lives(place)? {
            let live = self.live(place.pack)?;
            live.bytes = live.bytes.saturating_sub(place.len);
            live.bodies = live.bodies.saturating_sub(1);
        }
        Ok(())
    }

    /// Whether some owner names the place.
    fn lives(&self, place: Location) -> Result<bool, IndexError> {
        let (first, last) = key::residents_at(place);
        Ok(self.residents.range::<&ResidentKey>(&first..=&last)?.next().transpose()?.is_some())
    }

    fn live(&mut self, pack: PackId) -> Result<&mut PackLive, IndexError> {
        use std::collections::btree_map::Entry;
        match self.live.entry(pack) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let live = self.packs.get(pack.0)?.map(|live| PackLive::from_bytes(live.value()));
                Ok(entry.insert(live.unwrap_or_default()))
            }
        }
    }
}

impl Rows for WriteRows<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        let value = key::with_row(self.shard, key, |key| self.txn.rows.get(key)).map_err(rows_error)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> Scan) -> Result<(), RowsError> {
        scan(&self.txn.rows, self.shard, from, to, see).map_err(rows_error)
    }
}
