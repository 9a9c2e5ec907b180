//! The store: index, packs and what keeps them in step.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use paquebot_types::{Sequence, ShardId};
use parking_lot::{Mutex, RwLock};

use crate::fs::{Fs, FsLock, is_full};
use crate::index::{Commit, Index, IndexError, Mark, ReadTxn, WriteTxn};
use crate::layout::{Identity, Layout};
use crate::location::{Location, PackId};
use crate::offsite::{Lent, Offsite};
use crate::open::{self, OpenError};
use crate::options::Options;
use crate::pack::{
    AppendError, Appended, Appender, BodyFile, GroupItem, Keep, PackFiles, Pin, ReadError, Singles, StageError,
    StagedBody, Unapplied,
};
use crate::space::{Ballast, Grave};
use crate::tail::Tail;

/// An open store. A clone is another handle of the same.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub layout: Layout,
    pub identity: Identity,
    pub options: Options,
    /// `None` while it has failed and is not recovered yet.
    pub index: RwLock<Option<Index>>,
    pub appender: Appender,
    pub unapplied: Mutex<Unapplied>,
    pub singles: Arc<Singles>,
    pub files: PackFiles,
    pub ballast: Ballast,
    /// Held by whoever changes the index.
    pub writer: Mutex<()>,
    /// Held by whoever appends, and while a failed index is recovered: the log must not grow under its reader. Taken before `writer`.
    pub appending: Mutex<()>,
    pub checkpoint: Mutex<Checkpoint>,
    /// Bytes by which this process made the log grow, or the index without it.
    pub appended_bytes: AtomicU64,
    /// Each snapshot has a clone.
    pub readers: Mutex<Arc<()>>,
    /// Held by the one call of [`Store::reclaim`].
    pub reclaiming: Mutex<()>,
    pub graves: Mutex<Vec<Grave>>,
    pub pack_sizes: Mutex<HashMap<PackId, u64>>,
    /// Shards that are being taken in or dropped.
    pub in_transfer: Mutex<HashSet<ShardId>>,
    /// Where packs are sent, and what of evicted ones is read now.
    pub offsite: OnceLock<Arc<dyn Offsite>>,
    pub lent: Lent,
    /// The last number that an import had.
    pub imports: AtomicU64,
    _lock: Box<dyn FsLock>,
}

/// When the index was last made durable.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    at: Instant,
    appended_bytes: u64,
    /// Where a start would begin to read the log.
    pub mark: Mark,
    /// How far each shard is applied there.
    durable: Vec<(ShardId, Sequence)>,
}

impl Store {
    /// Opens the store in `dir`, and makes it if the directory is empty or not there. The directory above it must exist.
    ///
    /// The tail must be applied before anything else is done: it holds changes that were acknowledged.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<(Self, Tail), OpenError> {
        let opened = open::open(fs, dir, &options)?;
        let ballast = Ballast::new(opened.layout.clone(), options.ballast_bytes);
        if let Err(error) = ballast.restore() {
            tracing::warn!(%error, "cannot keep space in reserve for a full disk");
        }
        let snapshot = opened.index.read(Arc::default())?;
        let (durable, imports) = (snapshot.shards()?, snapshot.last_import()?);
        drop(snapshot);
        let checkpoint = Checkpoint { at: Instant::now(), appended_bytes: 0, mark: opened.mark, durable };
        let inner = Inner {
            files: PackFiles::new(opened.layout.clone(), options.open_packs),
            layout: opened.layout,
            identity: opened.identity,
            options,
            index: RwLock::new(Some(opened.index)),
            appender: opened.appender,
            unapplied: Mutex::new(opened.unapplied),
            singles: opened.singles,
            ballast,
            writer: Mutex::new(()),
            appending: Mutex::new(()),
            checkpoint: Mutex::new(checkpoint),
            appended_bytes: AtomicU64::new(0),
            readers: Mutex::default(),
            reclaiming: Mutex::default(),
            graves: Mutex::default(),
            pack_sizes: Mutex::default(),
            in_transfer: Mutex::default(),
            offsite: OnceLock::new(),
            lent: Lent::default(),
            imports: imports.into(),
            _lock: opened.lock,
        };
        Ok((Self { inner: Arc::new(inner) }, opened.tail))
    }

    /// Appends a group of bodies and records: one write and one sync. When this returns the group is on disk.
    ///
    /// It blocks, and so does the next call until this one is done. Within a shard sequences must ascend from call to call. After an error
    /// other than [`AppendError::Unknown`] nothing of the group is in the store, and never will be.
    pub fn append_group(&self, items: &[GroupItem<'_>]) -> Result<Appended, AppendError> {
        self.append(items, Keep::WhileRecordsWait).map(|(appended, _)| appended)
    }

    /// As [`Store::append_group`], for bodies whose record is appended elsewhere: until the pin is dropped no checkpoint passes the group,
    /// so a start after a crash hands it out again, and neither reclaiming nor a checkpoint removes its bodies.
    ///
    /// The pin is dropped once the record is applied, or once none is to be expected; what a start has to read grows while it lives.
    pub fn append_pinned(&self, items: &[GroupItem<'_>]) -> Result<(Appended, Pin), AppendError> {
        self.append(items, Keep::Pinned)
    }

    fn append(&self, items: &[GroupItem<'_>], keep: Keep) -> Result<(Appended, Pin), AppendError> {
        let inner = &self.inner;
        let _appending = inner.appending.lock();
        let brings_bodies = items.iter().any(GroupItem::is_body);
        inner.make_room(brings_bodies).map_err(AppendError::Full)?;
        // What is in reserve is for changes that may free space; a body waits until there is some.
        let on_full = || !brings_bodies && inner.ballast.release();
        let before = inner.appender.mark().position;
        let (appended, pin) = inner.appender.append(items, &inner.unapplied, keep, &on_full)?;
        let bytes = match appended.position.pack == before.pack {
            true => appended.position.offset - before.offset,
            false => appended.position.offset,
        };
        inner.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok((appended, pin))
    }

    /// Begins a large body, which is written to a file of its own as it arrives.
    pub fn stage(&self) -> Result<StagedBody, StageError> {
        self.inner.ballast.restore().map_err(StageError::Full)?;
        self.inner.singles.stage()
    }

    /// Changes the index in one transaction, which happens whole when `change` gives `Ok` and not at all otherwise. Readers that
    /// begin later see it; it is on disk after the next checkpoint, which this makes by itself when one is due. Until then the log
    /// has it: so only what records in the log say may be written.
    pub fn write<T, E: From<IndexError>>(
        &self,
        change: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let _writer = self.inner.writer.lock();
        let commit = if self.inner.checkpoint_due() { Commit::Durable } else { Commit::Visible };
        self.inner.change(change, commit)
    }

    /// Makes the index durable with all that was applied, so that a start need not apply it again.
    pub fn checkpoint(&self) -> Result<(), IndexError> {
        let _writer = self.inner.writer.lock();
        self.inner.change(|_| Ok(()), Commit::Durable)
    }

    /// The shards that are whole on this machine, with the last record applied to each, ascending. Not among them are those that nothing was
    /// applied to, and those that are being taken in or dropped.
    pub fn shards(&self) -> Result<Vec<(ShardId, Sequence)>, IndexError> {
        self.read()?.shards()
    }

    /// As [`Store::shards`], as of the last checkpoint: no crash takes these back. A log that lies elsewhere is needed from there on.
    pub fn durable(&self) -> Vec<(ShardId, Sequence)> {
        self.inner.checkpoint.lock().durable.clone()
    }

    /// A snapshot of the index.
    pub fn read(&self) -> Result<ReadTxn, IndexError> {
        let readers = self.inner.readers.lock().clone();
        self.inner.index.read().as_ref().ok_or(IndexError::Failed)?.read(readers)
    }

    /// Opens a body, to be read in pieces.
    pub fn body_file(&self, location: Location) -> Result<BodyFile, ReadError> {
        let Location { pack, offset, .. } = location;
        let file = match self.inner.files.open(pack) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.inner.lent.get(location).ok_or_else(|| self.inner.absent(location))?
            }
            file => file.map_err(|source| ReadError::Read { pack, offset, len: 0, source })?,
        };
        BodyFile::open(file, self.inner.identity.seal(pack), location)
    }

    /// Reads from byte `offset` of a body, as much as it and `buf` hold, and says how much. Only the entry's header is verified.
    pub fn read_body(&self, location: Location, offset: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        self.body_file(location)?.read_at(offset, buf)
    }

    /// Reads a whole body and proves it by its hash.
    pub fn read_body_verified(&self, location: Location) -> Result<Bytes, ReadError> {
        self.body_file(location)?.read_verified()
    }

    /// Whether an append ended with [`AppendError::Unknown`], so that changes are refused until the store is opened again.
    pub fn is_poisoned(&self) -> bool {
        self.inner.appender.is_poisoned()
    }

    /// The store's own number, which no other store has.
    pub fn uuid(&self) -> [u8; 16] {
        self.inner.identity.uuid
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    /// One transaction. The caller holds `writer`.
    pub(crate) fn change<T, E: From<IndexError>>(
        &self,
        change: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E>,
        commit: Commit,
    ) -> Result<T, E> {
        let index = self.index.read();
        let index = index.as_ref().ok_or(IndexError::Failed)?;
        let appended_bytes = self.appended_bytes.load(Ordering::Relaxed);
        let mut named = None;
        let value = index.write(change, |applied| {
            let mut unapplied = self.unapplied.lock();
            for (shard, sequence) in applied {
                unapplied.applied(*shard, *sequence);
            }
            let mark = unapplied.mark();
            named = Some(mark);
            (mark, self.singles.next(), commit)
        })?;
        if commit == Commit::Durable
            && let Some(mark) = named
        {
            self.note_checkpoint(index, appended_bytes, mark);
            self.after_checkpoint(index, mark);
        }
        Ok(value)
    }

    /// The index is durable as it is now.
    fn note_checkpoint(&self, index: &Index, appended_bytes: u64, mark: Mark) {
        let durable = index.read(Arc::default()).and_then(|snapshot| snapshot.shards());
        let mut checkpoint = self.checkpoint.lock();
        (checkpoint.at, checkpoint.appended_bytes, checkpoint.mark) = (Instant::now(), appended_bytes, mark);
        // Saying less than is durable only keeps logs longer.
        checkpoint.durable = durable.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read what a checkpoint made durable");
            Vec::new()
        });
    }

    /// Changes that are in no pack of the log make a checkpoint due as those do that are.
    pub(crate) fn index_grew(&self, bytes: usize) {
        self.appended_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Sees to it, as far as that can be, that removing something does not meet a full disk.
    pub(crate) fn make_room_to_remove(&self) {
        if let Err(error) = self.make_room(false) {
            tracing::warn!(%error, "cannot keep space for the index");
        }
    }

    fn checkpoint_due(&self) -> bool {
        let last = self.checkpoint.lock();
        let bytes = self.appended_bytes.load(Ordering::Relaxed) - last.appended_bytes;
        bytes >= self.options.checkpoint_bytes || last.at.elapsed() >= self.options.checkpoint_interval
    }

    /// What a checkpoint makes possible. None of it is needed: what fails is tried again after the next one.
    fn after_checkpoint(&self, index: &Index, mark: Mark) {
        if let Err(error) = self.settle_singles(index, mark) {
            tracing::warn!(%error, "cannot put large bodies in their place yet");
        }
    }

    /// Moves large bodies that have an owner out of `incoming/`, and removes those that nothing came to own.
    fn settle_singles(&self, index: &Index, mark: Mark) -> Result<(), Box<dyn std::error::Error>> {
        let decided = self.singles.decided(mark.group);
        if decided.is_empty() {
            return Ok(());
        }
        let snapshot = index.read(Arc::default())?;
        for pack in decided {
            // One that had an owner may be shown by a snapshot still: it is for `reclaim` to remove.
            if snapshot.pack_lives(pack)? || snapshot.is_dead_single(pack)? {
                self.singles.keep(pack)?;
            } else {
                self.files.forget(pack);
                self.singles.remove(pack)?;
            }
        }
        Ok(())
    }

    /// Sees to it, as far as that can be, that applying what is appended now does not meet a full disk.
    pub(crate) fn make_room(&self, for_bodies: bool) -> io::Result<()> {
        if for_bodies {
            self.ballast.restore()?;
        }
        let index = self.index.read();
        let Some(index) = index.as_ref() else { return Ok(()) };
        match index.file().reserve(self.options.index_headroom_bytes) {
            Err(error) if is_full(&error) && for_bodies => Err(error),
            // The headroom was meant for this.
            Err(error) if is_full(&error) => {
                self.ballast.release();
                Ok(())
            }
            // A file system that cannot reserve; the commit will tell.
            _ => Ok(()),
        }
    }
}
