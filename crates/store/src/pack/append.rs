//! Appending groups to the open pack.

use std::io::{self, IoSlice};
use std::sync::Arc;

use paquebot_types::{BlobHash, Sequence, ShardId};
use parking_lot::Mutex;

use super::format::{self, ALIGN, ENTRY_HEADER, EntryHeader, Kind, PACK_HEADER, PackHeader, Seal};
use super::{Pin, StagedBlob, Unapplied};
use crate::fs::{File, FileSize, is_full};
use crate::index::Mark;
use crate::layout::{Identity, Layout};
use crate::location::{Location, PackId, Position};

/// A group has at most this many bytes; a body that is not much smaller is staged.
pub const GROUP_BYTES_MAX: u64 = 64 << 20;

/// One thing in a group.
#[derive(Debug, Clone, Copy)]
pub enum GroupItem<'a> {
    /// A body. Its hash is believed here, and proved when the body is read or checked.
    Body { hash: BlobHash, bytes: &'a [u8] },
    /// A body that lies in a pack of its own already, which this group makes part of the store.
    Staged(&'a StagedBlob),
    /// A record, after the bodies that it names.
    Record { shard: ShardId, sequence: Sequence, bytes: &'a [u8] },
}

/// A group that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Where the bodies lie, in the order of the items.
    pub bodies: Vec<(BlobHash, Location)>,
    /// Where the next group will start.
    pub position: Position,
}

/// Why a group was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written.
    #[error("the disk is full: free some space in the data directory's file system")]
    Full(#[source] io::Error),
    /// Nothing was written.
    #[error("a group of {bytes} bytes is larger than {GROUP_BYTES_MAX}")]
    TooLarge { bytes: u64 },
    /// The write failed, and what had been written of it was cut off again, durably.
    #[error("cannot write to pack {pack}")]
    Failed { pack: PackId, source: io::Error },
    /// The group may be on disk or not: only opening the store again tells. Until then nothing can be appended.
    #[error(
        "pack {pack}: it cannot be learned whether a write reached the disk; restart the server once the disk is well"
    )]
    Unknown { pack: PackId, source: io::Error },
    /// An earlier append ended with [`AppendError::Unknown`]; this one wrote nothing.
    #[error("changes are refused since a write's outcome is unknown; restart the server once the disk is well")]
    Poisoned,
}

/// How long the log keeps a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    WhileRecordsWait,
    Pinned,
}

/// The open pack.
#[derive(Debug)]
pub(crate) struct Appender {
    layout: Layout,
    identity: Identity,
    sizes: Sizes,
    open: Mutex<Open>,
}

/// How packs grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// A pack that a group would take past this is sealed, and another one begun.
    pub pack: u64,
    /// Space is reserved in steps of this many bytes.
    pub step: u64,
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn File>,
    pack: PackId,
    seal: Seal,
    /// Where the next group starts, and its number.
    end: u64,
    group: u64,
    /// Up to here the file system has given its word.
    reserved: u64,
    poisoned: bool,
}

impl Appender {
    /// Goes on at `mark` in a pack whose bytes after it are gone or zeros.
    pub(crate) fn new(layout: Layout, identity: Identity, sizes: Sizes, file: Arc<dyn File>, mark: Mark) -> Self {
        let pack = mark.position.pack;
        let open = Open {
            file,
            pack,
            seal: identity.seal(pack),
            end: mark.position.offset,
            group: mark.group,
            reserved: 0,
            poisoned: false,
        };
        Self { layout, identity, sizes, open: Mutex::new(open) }
    }

    /// Appends one group, pinned if that is asked for: when this returns it is on disk. `on_full` may make room, and says whether it did.
    pub(crate) fn append(
        &self,
        items: &[GroupItem<'_>],
        unapplied: &Mutex<Unapplied>,
        keep: Keep,
        on_full: &dyn Fn() -> bool,
    ) -> Result<(Appended, Pin), AppendError> {
        let bytes = group_bytes(items).filter(|bytes| *bytes <= GROUP_BYTES_MAX);
        let Some(bytes) = bytes else {
            return Err(AppendError::TooLarge { bytes: group_bytes(items).unwrap_or(u64::MAX) });
        };
        let mut open = self.open.lock();
        if open.poisoned {
            return Err(AppendError::Poisoned);
        }
        if open.end > PACK_HEADER && open.end + bytes > self.sizes.pack {
            self.roll(&mut open, on_full)?;
        }
        open.reserve(bytes, self.sizes.step, on_full)?;
        let group = Group::new(items, &open, bytes);
        // Named before the write: if its outcome stays unknown, a record on disk may name these packs.
        for staged in staged(items) {
            staged.name(open.group);
        }
        if let Err(error) = open.write(&group) {
            if !open.poisoned {
                staged(items).for_each(StagedBlob::unname);
            }
            return Err(error);
        }
        let start = open.mark();
        open.end += bytes;
        open.group += 1;
        let records: Vec<(ShardId, Sequence)> = items.iter().filter_map(GroupItem::record).collect();
        let mut unapplied = unapplied.lock();
        // In one step: a checkpoint between the two would pass the group.
        let pin = match keep {
            Keep::Pinned => unapplied.pin(start),
            Keep::WhileRecordsWait => Pin::default(),
        };
        unapplied.appended(start, open.mark(), &records);
        drop(unapplied);
        Ok((Appended { bodies: group.bodies, position: open.mark().position }, pin))
    }

    /// Where the next group will start.
    pub(crate) fn mark(&self) -> Mark {
        self.open.lock().mark()
    }

    /// Whether an append's outcome is unknown.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.open.lock().poisoned
    }

    /// Seals the open pack and begins the next one.
    fn roll(&self, open: &mut Open, on_full: &dyn Fn() -> bool) -> Result<(), AppendError> {
        let pack = PackId(open.pack.0 + 1);
        let fail = |source| {
            if is_full(&source) { AppendError::Full(source) } else { AppendError::Failed { pack, source } }
        };
        let make = || create_pack(&self.layout, &self.identity, pack, open.group);
        let file = match make() {
            Err(error) if is_full(&error) && on_full() => make().map_err(fail)?,
            result => result.map_err(fail)?,
        };
        // Only gives back what was reserved too much; when it fails the pack ends in zeros.
        if let Err(error) = open.file.set_len(open.end) {
            tracing::warn!(pack = %open.pack, %error, "cannot cut a sealed pack to its length");
        }
        *open = Open {
            file,
            pack,
            seal: self.identity.seal(pack),
            end: PACK_HEADER,
            group: open.group,
            reserved: 0,
            poisoned: false,
        };
        Ok(())
    }
}

/// Makes a pack of the log with its header, durably.
pub(crate) fn create_pack(
    layout: &Layout,
    identity: &Identity,
    pack: PackId,
    first_group: u64,
) -> io::Result<Arc<dyn File>> {
    let path = layout.packs().join(pack.to_string());
    // Left by an attempt that failed: no group was ever written to it.
    layout.remove_if_there(&path)?;
    let file = layout.fs.create_new(&path)?;
    let header = PackHeader { uuid: identity.uuid, pack, first_group }.to_bytes();
    let write = || {
        file.write_all_at(&mut [IoSlice::new(&header)], 0)?;
        file.sync_all()?;
        // Without it a crash could lose the name, and with it every group that is acknowledged from now on.
        layout.fs.sync_dir(&layout.packs())
    };
    if let Err(error) = write() {
        if let Err(error) = layout.remove_if_there(&path) {
            tracing::warn!(%pack, %error, "cannot remove a pack that was not made; the next attempt or the next start will");
        }
        return Err(error);
    }
    Ok(file)
}

impl Open {
    fn mark(&self) -> Mark {
        Mark { position: Position { pack: self.pack, offset: self.end }, group: self.group }
    }

    /// Sees to it that `bytes` more can be written without meeting a full disk.
    fn reserve(&mut self, bytes: u64, step: u64, on_full: &dyn Fn() -> bool) -> Result<(), AppendError> {
        let need = self.end + bytes;
        if need <= self.reserved {
            return Ok(());
        }
        let allocate = |to: u64| self.file.allocate(self.end, to - self.end, FileSize::Extend).map(|()| to);
        let result = allocate(need.max(self.end + step)).or_else(|error| match error {
            // The last bytes of a disk are as good as any.
            error if is_full(&error) => allocate(need),
            error => Err(error),
        });
        let result = match result {
            Err(error) if is_full(&error) && on_full() => allocate(need),
            result => result,
        };
        match result {
            Ok(reserved) => {
                self.reserved = reserved;
                Ok(())
            }
            Err(error) if is_full(&error) => Err(AppendError::Full(error)),
            Err(source) => Err(AppendError::Failed { pack: self.pack, source }),
        }
    }

    fn write(&mut self, group: &Group<'_>) -> Result<(), AppendError> {
        if let Err(source) = self.file.write_all_at(&mut group.slices(), self.end) {
            return Err(self.undo(source));
        }
        if let Err(source) = self.file.sync_data() {
            // The kernel may have dropped the pages and may call the next sync a success: nothing can be learned here any more.
            self.poisoned = true;
            return Err(AppendError::Unknown { pack: self.pack, source });
        }
        Ok(())
    }

    /// Cuts off what a failed write has left.
    fn undo(&mut self, source: io::Error) -> AppendError {
        self.reserved = 0;
        if let Err(error) = self.file.set_len(self.end).and_then(|()| self.file.sync_all()) {
            tracing::error!(pack = %self.pack, %error, "cannot cut off a failed write");
            self.poisoned = true;
            return AppendError::Unknown { pack: self.pack, source };
        }
        AppendError::Failed { pack: self.pack, source }
    }
}

/// A group as it is written.
struct Group<'a> {
    headers: Vec<[u8; ENTRY_HEADER as usize]>,
    payloads: Vec<Payload<'a>>,
    bodies: Vec<(BlobHash, Location)>,
}

enum Payload<'a> {
    Given(&'a [u8]),
    Named([u8; Location::BYTES]),
}

impl<'a> Group<'a> {
    fn new(items: &[GroupItem<'a>], open: &Open, bytes: u64) -> Self {
        let entries = u32::try_from(items.len()).expect("an entry has 64 bytes, a group at most 64 MiB");
        let start = EntryHeader { kind: Kind::Group { number: open.group, entries, bytes }, len: 0, crc: 0 };
        let mut group = Self {
            headers: vec![start.to_bytes(open.seal)],
            payloads: Vec::with_capacity(items.len()),
            bodies: Vec::new(),
        };
        let mut offset = open.end + ENTRY_HEADER;
        for item in items {
            let (kind, payload) = match *item {
                GroupItem::Body { hash, bytes } => {
                    group.bodies.push((hash, Location { pack: open.pack, offset, len: bytes.len() as u64 }));
                    (Kind::Body { hash }, Payload::Given(bytes))
                }
                GroupItem::Staged(staged) => {
                    group.bodies.push((staged.hash(), staged.location()));
                    (Kind::Named { hash: staged.hash() }, Payload::Named(format::named_payload(staged.location())))
                }
                GroupItem::Record { shard, sequence, bytes } => {
                    (Kind::Record { shard, sequence }, Payload::Given(bytes))
                }
            };
            let header = EntryHeader { kind, len: payload.len(), crc: crc32c::crc32c(payload.bytes()) };
            offset += header.span().expect("the group's size was judged before");
            group.headers.push(header.to_bytes(open.seal));
            group.payloads.push(payload);
        }
        debug_assert_eq!(offset, open.end + bytes, "a group is as long as its header says");
        group
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        const ZEROS: [u8; ALIGN as usize] = [0; ALIGN as usize];
        let mut slices = Vec::with_capacity(1 + 3 * self.payloads.len());
        let (start, headers) = self.headers.split_first().expect("a group has its own header");
        slices.push(IoSlice::new(start));
        for (header, payload) in headers.iter().zip(&self.payloads) {
            slices.push(IoSlice::new(header));
            slices.push(IoSlice::new(payload.bytes()));
            let padding = payload.len().next_multiple_of(ALIGN) - payload.len();
            slices.push(IoSlice::new(&ZEROS[..padding as usize]));
        }
        slices
    }
}

impl Payload<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Given(bytes) => bytes,
            Self::Named(bytes) => bytes,
        }
    }

    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }
}

impl GroupItem<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Body { bytes, .. } | Self::Record { bytes, .. } => bytes.len() as u64,
            Self::Staged(_) => Location::BYTES as u64,
        }
    }

    fn record(&self) -> Option<(ShardId, Sequence)> {
        match self {
            Self::Record { shard, sequence, .. } => Some((*shard, *sequence)),
            _ => None,
        }
    }

    /// Whether the item brings a body into the store.
    pub(crate) fn is_body(&self) -> bool {
        !matches!(self, Self::Record { .. })
    }
}

fn staged<'a>(items: &'a [GroupItem<'a>]) -> impl Iterator<Item = &'a StagedBlob> {
    items.iter().filter_map(|item| match item {
        GroupItem::Staged(staged) => Some(*staged),
        _ => None,
    })
}

/// What a group of these items takes in a pack; `None` past any file's size.
fn group_bytes(items: &[GroupItem<'_>]) -> Option<u64> {
    items.iter().try_fold(ENTRY_HEADER, |sum, item| sum.checked_add(format::span(item.len())?))
}
