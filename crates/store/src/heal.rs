//! Bodies that come from elsewhere, and bodies found damaged.

use std::collections::HashMap;

use paquebot_types::BlobHash;

use crate::Store;
use crate::index::{IndexError, Wanted};
use crate::location::Location;
use crate::pack::{AppendError, GroupItem, StagedBlob};

/// A body that was wanted and has come.
#[derive(Debug, Clone, Copy)]
pub enum Fetched<'a> {
    Bytes(&'a [u8]),
    /// A large one, staged as it came.
    Staged(&'a StagedBlob),
}

impl Fetched<'_> {
    fn hash(&self) -> BlobHash {
        match self {
            Self::Bytes(bytes) => BlobHash(*blake3::hash(bytes).as_bytes()),
            Self::Staged(blob) => blob.hash(),
        }
    }
}

/// Why bodies were not placed. They stay wanted.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Nothing was written.
    #[error("shard {}, account {}, body {}: other bytes came than were wanted", .0.shard, .0.account, .0.blob)]
    OtherBytes(Wanted),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Store {
    /// Takes bodies that were wanted: proves their hashes, writes them as one group, and gives their owners locations. Says of each whether it
    /// still was wanted, or in a pack that is not here any more; one that was not has left bytes that [`Store::reclaim`] gives back.
    ///
    /// They are on disk when this returns. Their locations are at the next checkpoint: after a crash before it they are wanted again.
    pub fn place(&self, bodies: &[(Wanted, Fetched<'_>)]) -> Result<Vec<bool>, PlaceError> {
        if let Some((wanted, _)) = bodies.iter().find(|(wanted, fetched)| fetched.hash() != wanted.hash) {
            return Err(PlaceError::OtherBytes(*wanted));
        }
        let mut items: Vec<GroupItem<'_>> = Vec::with_capacity(bodies.len());
        // Recipients of one delivery share what the group holds.
        let mut places: HashMap<BlobHash, usize> = HashMap::new();
        for (Wanted { hash, .. }, fetched) in bodies {
            places.entry(*hash).or_insert_with(|| {
                items.push(match *fetched {
                    Fetched::Bytes(bytes) => GroupItem::Body { hash: *hash, bytes },
                    Fetched::Staged(blob) => GroupItem::Staged(blob),
                });
                items.len() - 1
            });
        }
        if items.is_empty() {
            return Ok(Vec::new());
        }
        // Until the locations are written only the pin keeps a checkpoint from giving a staged body up.
        let (appended, _pin) = self.append_pinned(&items)?;
        let located = self.write(|txn| -> Result<Vec<bool>, IndexError> {
            let mut located = Vec::with_capacity(bodies.len());
            for (wanted, _) in bodies {
                let place = places.get(&wanted.hash).and_then(|at| appended.bodies.get(*at));
                let still = txn.owner_wanted(&wanted.owner())? == Some(wanted.hash)
                    || match txn.owner_location(&wanted.owner())? {
                        Some(location) => self.inner().is_evicted(location)?,
                        None => false,
                    };
                if let Some((_, location)) = place.filter(|_| still) {
                    txn.set_owner_location(&wanted.owner(), *location)?;
                }
                located.push(still);
            }
            Ok(located)
        })?;
        Ok(located)
    }

    /// Says that a body is damaged, or not where it should be: it becomes wanted, and so does every other that shares its place. `false` if
    /// the body is no longer at that location; then nothing changes.
    pub fn doubt(&self, body: &Wanted, location: Location) -> Result<bool, IndexError> {
        self.write(|txn| {
            let is_there = txn.owner_location(&body.owner())? == Some(location);
            if is_there {
                txn.want_all_at(location, body.hash)?;
            }
            Ok(is_there)
        })
    }
}
