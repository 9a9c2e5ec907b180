//! Giving back the space of bodies that nothing names any more.
//!
//! A pack of the log is worth emptying when most of it is dead; its records are, once a checkpoint lies behind it. Its living bodies are
//! copied to the open pack, the index is told where they now are and made durable, and only then is the pack removed. A crash at any
//! point leaves each body at the place that the index names: the copy, if the index knows of it, or else the old pack, which is still
//! there. A copy that the index never came to name is as dead as the rest.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use paquebot_types::BlobHash;

use crate::Store;
use crate::index::{Commit, IndexError, OwnerKey, ReadTxn};
use crate::location::{Location, PackId};
use crate::pack::{AppendError, GroupItem, ReadError};
use crate::store::Inner;

/// Bodies are copied in groups of about this many bytes, so that changes of mailboxes need not wait long for the log.
const GROUP_BYTES: u64 = 1 << 20;

/// How much one call of [`Store::reclaim`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// At most about this many bytes of living bodies are copied.
    pub copy_bytes: u64,
    /// A pack is emptied if this share of it is dead, or more.
    pub dead_percent: u8,
}

impl Default for Budget {
    fn default() -> Self {
        Self { copy_bytes: 64 << 20, dead_percent: 50 }
    }
}

/// What was given back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reclaimed {
    pub packs: u64,
    /// Bytes of those packs. Packs that a snapshot still shows are removed once it is dropped.
    pub bytes: u64,
    /// Bytes of living bodies that were copied.
    pub copied_bytes: u64,
    /// Packs that were left as they are, since a living body in them is damaged.
    pub damaged: Vec<(PackId, u64)>,
}

/// Why space was not given back. What was done before the error stays done.
#[derive(Debug, thiserror::Error)]
pub enum ReclaimError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cannot read a body that is to be moved")]
    Read(#[from] ReadError),
    #[error("cannot copy bodies to the open pack")]
    Append(#[from] AppendError),
    #[error("cannot list or remove packs")]
    Io(#[from] io::Error),
}

/// Packs that are empty, to be removed when the last snapshot that shows them is dropped.
#[derive(Debug)]
pub(crate) struct Grave {
    readers: Weak<()>,
    packs: Vec<PackId>,
}

/// A pack of the log that is worth emptying.
struct Candidate {
    pack: PackId,
    live_bytes: u64,
    bytes: u64,
}

/// A living body in a pack: where, and whose.
type Residents = BTreeMap<u64, Vec<OwnerKey>>;

impl Store {
    /// Gives back the space of packs that are mostly dead. Blocks for as long as the copying takes; one call runs at a time.
    pub fn reclaim(&self, budget: &Budget) -> Result<Reclaimed, ReclaimError> {
        let inner = self.inner();
        let _one = inner.reclaiming.lock();
        inner.bury();
        let mut reclaimed = Reclaimed::default();
        let mut emptied = Vec::new();
        for candidate in inner.candidates(budget)? {
            if candidate.live_bytes > budget.copy_bytes.saturating_sub(reclaimed.copied_bytes) {
                break;
            }
            match self.empty(candidate.pack) {
                Ok(copied) => {
                    reclaimed.copied_bytes += copied;
                    emptied.push((candidate.pack, candidate.bytes));
                }
                Err(ReclaimError::Read(ReadError::Corrupt { pack, offset })) => {
                    tracing::error!(%pack, offset, "a living body is damaged; its pack is left as it is");
                    reclaimed.damaged.push((pack, offset));
                }
                // An evicted pack cannot be fetched now; it is tried again.
                Err(ReclaimError::Read(error @ (ReadError::Elsewhere { .. } | ReadError::Read { .. })))
                    if !inner.is_here(candidate.pack) =>
                {
                    tracing::warn!(pack = %candidate.pack, %error, "a pack that is elsewhere cannot be emptied now");
                }
                // What is dead already can go, even if the disk is too full to move the rest.
                Err(ReclaimError::Append(AppendError::Full(_))) => break,
                Err(error) => return Err(error),
            }
        }
        for pack in self.read()?.dead_singles()? {
            if !inner.singles.is_named(pack) && !inner.is_retired(pack) {
                emptied.push((pack, inner.pack_bytes(pack).unwrap_or_default()));
            }
        }
        if emptied.is_empty() {
            return Ok(reclaimed);
        }
        // From here on no crash brings the old locations back.
        self.checkpoint()?;
        let snapshot = self.read()?;
        let mut retired = Vec::with_capacity(emptied.len());
        for (pack, bytes) in emptied {
            // Something may have come to share a body's place while it was moved; then the next call moves that.
            if !snapshot.pack_lives(pack)? {
                reclaimed.packs += 1;
                reclaimed.bytes += bytes;
                retired.push(pack);
            }
        }
        drop(snapshot);
        inner.retire(retired);
        inner.bury();
        Ok(reclaimed)
    }

    /// Moves the living bodies of a pack to the open one. Gives the bytes copied.
    fn empty(&self, pack: PackId) -> Result<u64, ReclaimError> {
        let residents = self.read()?.residents(pack)?;
        let (mut copied, mut batch, mut batch_bytes) = (0, Vec::new(), 0);
        for (offset, len) in self.lengths(pack, &residents)? {
            let location = Location { pack, offset, len };
            let file = self.body_file_anywhere(location)?;
            // Proved here: a damaged body must not be given a new place and a new checksum.
            batch.push((location, file.hash(), file.read_verified()?));
            batch_bytes += len;
            copied += len;
            if batch_bytes >= GROUP_BYTES {
                self.relocate(&std::mem::take(&mut batch), &residents)?;
                batch_bytes = 0;
            }
        }
        self.relocate(&batch, &residents)?;
        Ok(copied)
    }

    /// The places of a pack that have residents, with the bodies' lengths.
    fn lengths(&self, pack: PackId, residents: &Residents) -> Result<Vec<(u64, u64)>, ReclaimError> {
        let snapshot = self.read()?;
        let mut lengths = Vec::with_capacity(residents.len());
        for (offset, owners) in residents {
            let here = owners.iter().find_map(|owner| match snapshot.owner_location(owner) {
                Ok(Some(location)) if location.pack == pack && location.offset == *offset => Some(Ok(location.len)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
            if let Some(len) = here.transpose()? {
                lengths.push((*offset, len));
            }
        }
        Ok(lengths)
    }

    /// Copies bodies and says where they now are, to owners that have not moved or gone since.
    fn relocate(&self, bodies: &[(Location, BlobHash, Bytes)], residents: &Residents) -> Result<(), ReclaimError> {
        if bodies.is_empty() {
            return Ok(());
        }
        let items: Vec<GroupItem<'_>> =
            bodies.iter().map(|(_, hash, bytes)| GroupItem::Body { hash: *hash, bytes }).collect();
        let appended = self.append_group(&items)?;
        self.write(|txn| -> Result<(), IndexError> {
            for ((old, _, _), (_, new)) in bodies.iter().zip(&appended.bodies) {
                for owner in residents.get(&old.offset).into_iter().flatten() {
                    if txn.owner_location(owner)? == Some(*old) {
                        txn.set_owner_location(owner, *new)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl Inner {
    /// Packs of the log that are worth emptying, the emptiest first.
    fn candidates(&self, budget: &Budget) -> Result<Vec<Candidate>, ReclaimError> {
        let log_starts = self.checkpoint.lock().mark.position.pack;
        let snapshot = self.snapshot()?;
        let mut candidates = Vec::new();
        for pack in self.layout.list(&self.layout.packs())? {
            // Later packs may hold records that a start has to apply again.
            if pack >= log_starts || self.is_retired(pack) {
                continue;
            }
            let live_bytes = snapshot.pack_live(pack)?.bytes;
            let bytes = self.pack_bytes(pack)?;
            let dead = bytes.saturating_sub(live_bytes);
            if u128::from(dead) * 100 >= u128::from(bytes) * u128::from(budget.dead_percent) {
                candidates.push(Candidate { pack, live_bytes, bytes });
            }
        }
        // Packs that are elsewhere only; those in which nothing lives are for whoever sent them.
        if self.offsite.get().is_some() {
            for (pack, sent) in snapshot.all_sent()? {
                let live = snapshot.pack_live(pack)?;
                let dead = sent.bytes.saturating_sub(live.bytes);
                let is_worth_it = u128::from(dead) * 100 >= u128::from(sent.bytes) * u128::from(budget.dead_percent);
                if live.bodies > 0 && is_worth_it && !pack.is_single() && !self.is_here(pack) && !self.is_retired(pack)
                {
                    candidates.push(Candidate { pack, live_bytes: live.bytes, bytes: sent.bytes });
                }
            }
        }
        candidates.sort_by_key(|candidate| candidate.live_bytes);
        Ok(candidates)
    }

    fn snapshot(&self) -> Result<ReadTxn, IndexError> {
        self.index.read().as_ref().ok_or(IndexError::Failed)?.read(Arc::default())
    }

    /// Whether a pack has a file.
    pub(crate) fn is_here(&self, pack: PackId) -> bool {
        !matches!(self.layout.open_pack(pack), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// The length of a sealed pack, which is looked up once.
    fn pack_bytes(&self, pack: PackId) -> io::Result<u64> {
        if let Some(bytes) = self.pack_sizes.lock().get(&pack) {
            return Ok(*bytes);
        }
        let bytes = self.layout.open_pack(pack)?.len()?;
        self.pack_sizes.lock().insert(pack, bytes);
        Ok(bytes)
    }

    /// Hands packs that nothing names to the next burial after the last snapshot that may show them.
    fn retire(&self, packs: Vec<PackId>) {
        // Snapshots that are made from now on show the index as it is after the checkpoint.
        let before = std::mem::take(&mut *self.readers.lock());
        self.graves.lock().push(Grave { readers: Arc::downgrade(&before), packs });
    }

    pub(crate) fn is_retired(&self, pack: PackId) -> bool {
        self.graves.lock().iter().any(|grave| grave.packs.contains(&pack))
    }

    /// Removes retired packs that no snapshot shows any more.
    pub(crate) fn bury(&self) {
        let ready: Vec<Grave> = {
            let mut graves = self.graves.lock();
            // In order: an old snapshot, which the first grave waits for, shows what is in the later ones too.
            let ready = graves.iter().take_while(|grave| grave.readers.strong_count() == 0).count();
            graves.drain(..ready).collect()
        };
        for pack in ready.into_iter().flat_map(|grave| grave.packs) {
            // Believing nobody: if it is named again after all it stays, and is found again once it is dead.
            if !matches!(self.snapshot().and_then(|snapshot| snapshot.pack_lives(pack)), Ok(false)) {
                continue;
            }
            self.files.forget(pack);
            self.pack_sizes.lock().remove(&pack);
            // Not synced: a pack whose removal a crash undoes is empty still, and is found again.
            let removed = self.layout.places(pack).try_for_each(|path| self.layout.remove_if_there(&path));
            match removed {
                Ok(()) if pack.is_single() => self.forget_single(pack),
                Ok(()) => {}
                Err(error) => tracing::warn!(%pack, %error, "cannot remove an empty pack; it will be tried again"),
            }
        }
    }

    /// Strikes a removed pack from the list of dead ones.
    fn forget_single(&self, pack: PackId) {
        let _writer = self.writer.lock();
        let forgotten: Result<(), IndexError> = self.change(|txn| txn.forget_single(pack), Commit::Visible);
        if let Err(error) = forgotten {
            tracing::warn!(%pack, %error, "cannot strike a removed pack from the index; it will be tried again");
        }
    }
}
