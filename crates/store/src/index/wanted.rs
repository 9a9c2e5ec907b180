//! Bodies that the index names and this machine lacks.
//!
//! An owner has a location or is wanted, never both: saying one ends the other.

use std::ops::Bound;

use paquebot_types::{AccountId, BlobHash, BlobId, ShardId};
use redb::{ReadableTable, ReadableTableMetadata, Table};

use super::key::{self, OwnerKey, ResidentKey};
use super::table::WANTED;
use super::{IndexError, ReadTxn, WriteTxn};
use crate::location::Location;

/// A body that this machine is to get from elsewhere. They sort by owner, as the index has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    pub shard: ShardId,
    pub account: AccountId,
    pub blob: BlobId,
    pub hash: BlobHash,
}

impl Wanted {
    pub(crate) fn owner(&self) -> OwnerKey {
        key::owner(self.shard, self.account, self.blob)
    }

    fn new(owner: &OwnerKey, hash: [u8; 32]) -> Result<Self, IndexError> {
        let owner = key::parse_owner(owner);
        let (shard, account, blob) = owner.ok_or(IndexError::Damaged("a wanted body has an impossible owner"))?;
        Ok(Self { shard, account, blob, hash: BlobHash(hash) })
    }
}

impl ReadTxn {
    /// Wanted bodies in the order of their owners, those after `after`, at most `limit`.
    pub fn wanted(&self, after: Option<&Wanted>, limit: usize) -> Result<Vec<Wanted>, IndexError> {
        let after = after.map(Wanted::owner);
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.wanted_in(from, Bound::Unbounded, limit)
    }

    /// Wanted bodies of one shard, in the order of their owners, those after `after`, at most `limit`.
    pub fn wanted_in_shard(
        &self,
        shard: ShardId,
        after: Option<&Wanted>,
        limit: usize,
    ) -> Result<Vec<Wanted>, IndexError> {
        let (first, last) = key::owners_of(shard);
        let after = after.map(Wanted::owner);
        let from = after.as_ref().filter(|after| **after >= first).map_or(Bound::Included(&first), Bound::Excluded);
        if after.is_some_and(|after| after > last) {
            return Ok(Vec::new());
        }
        self.wanted_in(from, Bound::Included(&last), limit)
    }

    /// The hash of a body that is wanted; `None` for one that is here, or that nobody has heard of.
    pub fn wanted_of(&self, shard: ShardId, account: AccountId, blob: BlobId) -> Result<Option<BlobHash>, IndexError> {
        let table = self.redb().open_table(WANTED)?;
        let hash = table.get(&key::owner(shard, account, blob))?;
        Ok(hash.map(|hash| BlobHash(*hash.value())))
    }

    /// How many bodies are wanted.
    pub fn wanted_count(&self) -> Result<u64, IndexError> {
        Ok(self.redb().open_table(WANTED)?.len()?)
    }

    fn wanted_in(&self, from: Bound<&OwnerKey>, to: Bound<&OwnerKey>, limit: usize) -> Result<Vec<Wanted>, IndexError> {
        let table = self.redb().open_table(WANTED)?;
        let mut wanted = Vec::new();
        for row in table.range::<&OwnerKey>((from, to))?.take(limit) {
            let (owner, hash) = row?;
            wanted.push(Wanted::new(owner.value(), *hash.value())?);
        }
        Ok(wanted)
    }
}

impl<'t> WriteTxn<'t> {
    /// Says that a body is not here and what its hash is, in place of what was said before. A location ends it.
    pub fn want(&mut self, shard: ShardId, account: AccountId, blob: BlobId, hash: BlobHash) -> Result<(), IndexError> {
        self.want_owner(&key::owner(shard, account, blob), hash)
    }

    pub(crate) fn want_owner(&mut self, owner: &OwnerKey, hash: BlobHash) -> Result<(), IndexError> {
        self.forget_location(owner)?;
        self.wanted()?.insert(owner, &hash.0)?;
        Ok(())
    }

    /// The hash of a body that is wanted, with the changes made so far.
    pub fn wanted_of(
        &mut self,
        shard: ShardId,
        account: AccountId,
        blob: BlobId,
    ) -> Result<Option<BlobHash>, IndexError> {
        self.owner_wanted(&key::owner(shard, account, blob))
    }

    pub(crate) fn owner_wanted(&mut self, owner: &OwnerKey) -> Result<Option<BlobHash>, IndexError> {
        let hash = self.wanted()?.get(owner)?.map(|hash| BlobHash(*hash.value()));
        Ok(hash)
    }

    /// A body found damaged: each owner of its place has lost it.
    pub(crate) fn want_all_at(&mut self, place: Location, hash: BlobHash) -> Result<(), IndexError> {
        let (first, last) = key::residents_at(place);
        let mut owners = Vec::new();
        for row in self.residents.range::<&ResidentKey>(&first..=&last)? {
            owners.push(key::parse_resident(row?.0.value()).2);
        }
        owners.iter().try_for_each(|owner| self.want_owner(owner, hash))
    }

    /// The table, which most transactions have no use for.
    pub(super) fn wanted(&mut self) -> Result<&mut Table<'t, &'static OwnerKey, &'static [u8; 32]>, IndexError> {
        if self.wanted.is_none() {
            self.wanted = Some(self.txn.open_table(WANTED)?);
        }
        Ok(self.wanted.as_mut().expect("it was opened just now"))
    }
}
