//! Large bodies, each in a pack of its own.
//!
//! A body is written to `incoming/` as it arrives. The group that names it makes it part of the store; once a checkpoint knows who
//! owns it, it moves to `bodies/`. So after a crash only the few files in `incoming/` have to be looked at: what neither the index
//! nor the log's tail names is removed.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use paquebot_types::BlobHash;
use parking_lot::Mutex;

use super::format::{ENTRY_HEADER, EntryHeader, Kind, PACK_HEADER, PackHeader};
use crate::fs::{File, FileSize, is_full};
use crate::layout::{Identity, Layout};
use crate::location::{Location, PackId};

/// Space is reserved in steps of this many bytes.
const STEP: u64 = 4 << 20;

/// Why a body was not staged. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("the disk is full: free some space in the data directory's file system")]
    Full(#[source] io::Error),
    #[error("cannot write a body to {pack}")]
    Failed { pack: PackId, source: io::Error },
}

/// The packs in `incoming/`.
#[derive(Debug)]
pub(crate) struct Singles {
    layout: Layout,
    identity: Identity,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// The groups that name the packs, by number.
    named: HashMap<PackId, u64>,
}

/// A large body on its way into the store. Dropped before [`StagedBody::finish`] it is gone.
#[derive(Debug)]
pub struct StagedBody {
    file: Arc<dyn File>,
    hasher: Box<blake3::Hasher>,
    crc: u32,
    len: u64,
    reserved: u64,
    place: Place,
}

/// A large body that is on disk, but that no record names yet. Dropped before a group has named it, it is gone.
#[derive(Debug)]
pub struct StagedBlob {
    hash: BlobHash,
    len: u64,
    place: Place,
}

/// The file of a staged body, which is removed with this unless a group names it.
#[derive(Debug)]
struct Place {
    singles: Arc<Singles>,
    pack: PackId,
}

impl Singles {
    pub(crate) fn new(layout: Layout, identity: Identity, next: u64) -> Arc<Self> {
        Arc::new(Self { layout, identity, state: Mutex::new(State { next, named: HashMap::new() }) })
    }

    /// Begins a body.
    pub(crate) fn stage(self: &Arc<Self>) -> Result<StagedBody, StageError> {
        let pack = {
            let mut state = self.state.lock();
            let pack = PackId::single(state.next);
            state.next += 1;
            pack
        };
        let path = self.layout.incoming().join(pack.to_string());
        let file = self.layout.fs.create_new(&path).map_err(|source| stage_error(pack, source))?;
        let place = Place { singles: self.clone(), pack };
        Ok(StagedBody { file, hasher: Box::default(), crc: 0, len: 0, reserved: 0, place })
    }

    /// The next number to be given out: all that were used are below.
    pub(crate) fn next(&self) -> u64 {
        self.state.lock().next
    }

    /// A group names the pack.
    pub(crate) fn name(&self, pack: PackId, group: u64) {
        let mut state = self.state.lock();
        state.next = state.next.max(pack.number() + 1);
        state.named.insert(pack, group);
    }

    /// Whether a group names the pack and no checkpoint has decided about it yet.
    pub(crate) fn is_named(&self, pack: PackId) -> bool {
        self.state.lock().named.contains_key(&pack)
    }

    fn unname(&self, pack: PackId) {
        self.state.lock().named.remove(&pack);
    }

    /// The packs whose group lies before `group`: a checkpoint has decided about them.
    pub(crate) fn decided(&self, group: u64) -> Vec<PackId> {
        let state = self.state.lock();
        state.named.iter().filter(|(_, named)| **named < group).map(|(pack, _)| *pack).collect()
    }

    /// A checkpoint names an owner of the pack: it leaves `incoming/`.
    pub(crate) fn keep(&self, pack: PackId) -> io::Result<()> {
        let name = pack.to_string();
        match self.layout.fs.rename(&self.layout.incoming().join(&name), &self.layout.bodies().join(&name)) {
            // It is in its place already, as in the copy that a backup makes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        self.unname(pack);
        Ok(())
    }

    /// A checkpoint names no owner of the pack, and none will come.
    pub(crate) fn remove(&self, pack: PackId) -> io::Result<()> {
        self.layout.places(pack).try_for_each(|path| self.layout.remove_if_there(&path))?;
        self.unname(pack);
        Ok(())
    }
}

impl StagedBody {
    /// Adds bytes to the body.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        let offset = PACK_HEADER + ENTRY_HEADER + self.len;
        let end = offset + bytes.len() as u64;
        if end > self.reserved {
            let target = end.next_multiple_of(STEP);
            let allocated = self.file.allocate(self.reserved, target - self.reserved, FileSize::Extend);
            allocated.map_err(|error| stage_error(self.place.pack, error))?;
            self.reserved = target;
        }
        let written = self.file.write_all_at(&mut [IoSlice::new(bytes)], offset);
        written.map_err(|error| stage_error(self.place.pack, error))?;
        self.hasher.update(bytes);
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends the body. When this returns it is on disk, and can be read at its location.
    pub fn finish(self) -> Result<StagedBlob, StageError> {
        let hash = BlobHash(*self.hasher.finalize().as_bytes());
        self.seal(hash).map_err(|error| stage_error(self.place.pack, error))?;
        Ok(StagedBlob { hash, len: self.len, place: self.place })
    }

    fn seal(&self, hash: BlobHash) -> io::Result<()> {
        let Place { singles, pack } = &self.place;
        let header = PackHeader { uuid: singles.identity.uuid, pack: *pack, first_group: 0 }.to_bytes();
        let entry = EntryHeader { kind: Kind::Body { hash }, len: self.len, crc: self.crc };
        let entry = entry.to_bytes(singles.identity.seal(*pack));
        self.file.write_all_at(&mut [IoSlice::new(&header), IoSlice::new(&entry)], 0)?;
        self.file.set_len(PACK_HEADER + ENTRY_HEADER + self.len)?;
        self.file.sync_all()?;
        // The group will name this pack; without this a crash could keep the group and lose the pack's name.
        singles.layout.fs.sync_dir(&singles.layout.incoming())
    }
}

impl StagedBlob {
    /// The body's hash.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// The body's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the body lies; it can be read there at once.
    pub fn location(&self) -> Location {
        Location { pack: self.place.pack, offset: PACK_HEADER, len: self.len }
    }

    pub(super) fn name(&self, group: u64) {
        self.place.singles.name(self.place.pack, group);
    }

    pub(super) fn unname(&self) {
        self.place.singles.unname(self.place.pack);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.singles.state.lock().named.contains_key(&self.pack) {
            return;
        }
        // Only from `incoming/`: a body that a checkpoint has decided about is no longer this handle's.
        let layout = &self.singles.layout;
        if let Err(error) = layout.remove_if_there(&layout.incoming().join(self.pack.to_string())) {
            tracing::warn!(pack = %self.pack, %error, "cannot remove a body that is not wanted; the next start will");
        }
    }
}

fn stage_error(pack: PackId, source: io::Error) -> StageError {
    if is_full(&source) { StageError::Full(source) } else { StageError::Failed { pack, source } }
}
