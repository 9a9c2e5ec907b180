//! What is sent, what goes from this disk, and what goes from there.

use std::io;

use super::{Cached, OffsiteError, SealedPack};
use crate::Store;
use crate::index::{IndexError, Sent};
use crate::location::PackId;

impl Store {
    /// Packs that do not change any more, hold something that lives, and were not sent: the oldest first, at most `limit`.
    pub fn packs_to_send(&self, limit: usize) -> Result<Vec<PackId>, OffsiteError> {
        let snapshot = self.read()?;
        let mut packs = Vec::new();
        for pack in self.sealed_packs()? {
            if snapshot.sent(pack)?.is_none() && snapshot.pack_lives(pack)? {
                packs.push(pack);
                if packs.len() == limit {
                    break;
                }
            }
        }
        Ok(packs)
    }

    /// A sealed pack, to be read; `None` if it has been removed. It stays readable while it is open.
    pub fn sealed_pack(&self, pack: PackId) -> Result<Option<SealedPack>, OffsiteError> {
        match self.inner().layout.open_pack(pack) {
            Ok(file) => Ok(Some(SealedPack { len: file.len()?, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that a sealed pack is elsewhere, just as it is here; or with `None` that it is not there any more. It is durable at the next
    /// checkpoint.
    pub fn set_sent(&self, pack: PackId, sent: Option<Sent>) -> Result<(), IndexError> {
        self.write(|txn| txn.set_sent(pack, sent))
    }

    /// How many packs are elsewhere, and their bytes.
    pub fn sent_total(&self) -> Result<(u64, u64), IndexError> {
        let sent = self.read()?.all_sent()?;
        Ok((sent.len() as u64, sent.iter().map(|(_, sent)| sent.bytes).sum()))
    }

    /// Packs that are here and elsewhere, those first that were not read for longest.
    pub fn cached(&self) -> Result<Vec<Cached>, OffsiteError> {
        let snapshot = self.read()?;
        let mut cached = Vec::new();
        for pack in self.sealed_packs()? {
            if let Some(sent) = snapshot.sent(pack)? {
                cached.push(Cached { pack, sent, last_read: self.inner().files.last_read(pack) });
            }
        }
        cached.sort_by_key(|cached| (cached.last_read, cached.pack));
        Ok(cached)
    }

    /// Removes the files of packs that are elsewhere. Whoever has one open goes on reading it. Gives the bytes that went.
    pub fn evict(&self, packs: &[PackId]) -> Result<u64, OffsiteError> {
        let inner = self.inner();
        let _one = inner.reclaiming.lock();
        // From here on every start knows that they are elsewhere.
        self.checkpoint()?;
        let snapshot = self.read()?;
        let sealed = self.sealed_packs()?;
        let mut bytes = 0;
        for pack in packs {
            let Some(sent) = snapshot.sent(*pack)? else { continue };
            if sealed.binary_search(pack).is_err() {
                continue;
            }
            inner.layout.places(*pack).try_for_each(|path| inner.layout.remove_if_there(&path))?;
            inner.files.forget(*pack);
            bytes += sent.bytes;
        }
        Ok(bytes)
    }

    /// Packs that are elsewhere only and hold nothing that lives, durably.
    pub fn dead_elsewhere(&self) -> Result<Vec<(PackId, Sent)>, OffsiteError> {
        let snapshot = self.read()?;
        let sealed = self.sealed_packs()?;
        let mut dead = Vec::new();
        for (pack, sent) in snapshot.all_sent()? {
            if sealed.binary_search(&pack).is_err() && !snapshot.pack_lives(pack)? {
                dead.push((pack, sent));
            }
        }
        drop(snapshot);
        if !dead.is_empty() {
            // No crash brings an owner back.
            self.checkpoint()?;
        }
        Ok(dead)
    }

    /// Packs with a file that a start does not need and that nobody writes, ascending.
    fn sealed_packs(&self) -> Result<Vec<PackId>, OffsiteError> {
        let inner = self.inner();
        let log_starts = inner.checkpoint.lock().mark.position.pack;
        let mut packs = inner.layout.list(&inner.layout.packs())?;
        packs.retain(|pack| *pack < log_starts && !inner.is_retired(*pack));
        let singles = inner.layout.list(&inner.layout.bodies())?;
        packs.extend(singles.into_iter().filter(|pack| !inner.singles.is_named(*pack) && !inner.is_retired(*pack)));
        Ok(packs)
    }
}
