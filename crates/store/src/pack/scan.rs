//! Reading the log's tail after a start, and telling a torn write from damage.
//!
//! The next group is written only after the one before it was synced, and a failed write is cut off, durably, before another is
//! tried. So only the *last* group of the log can be half there, and it was never acknowledged. The rule that follows from it:
//!
//! - A group whose entries all have the right checksums is good.
//! - Where no good group starts and nothing later in the log is good either, the log ends. Zeros from there on are space that was
//!   reserved; anything else is a torn write, and is cut off.
//! - Where no good group starts but a group header with a later number follows, bytes that were synced are gone: that is damage, and
//!   never cut off.

use std::sync::Arc;

use paquebot_types::{BlobHash, Sequence, ShardId};

use super::append::GROUP_BYTES_MAX;
use super::format::{ALIGN, ENTRY_HEADER, EntryHeader, Kind, Seal, is_zeros};
use crate::fs::File;
use crate::index::Mark;
use crate::location::{Location, Position};

/// Looked through at once for a later group.
const WINDOW: usize = 1 << 20;

/// Reads groups of one pack, in order.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Arc<dyn File>,
    len: u64,
    seal: Seal,
    next: Mark,
}

/// What a scanner finds.
#[derive(Debug)]
pub(crate) enum Found {
    Group(GroupRead),
    /// The pack's groups end; so many bytes of a torn write follow, 0 if there is none.
    End {
        torn: u64,
    },
    /// The group at the scanner's mark was synced and is not good any more.
    Damage,
}

/// A good group.
#[derive(Debug)]
pub(crate) struct GroupRead {
    pub start: Mark,
    pub end: Mark,
    pub records: Vec<(ShardId, Sequence, Vec<u8>)>,
    pub bodies: Vec<(BlobHash, Location)>,
    /// The group as it lies in the pack.
    pub raw: Vec<u8>,
}

impl Scanner {
    pub(crate) fn new(file: Arc<dyn File>, seal: Seal, next: Mark) -> std::io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, seal, next })
    }

    /// The file's length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn next(&mut self) -> std::io::Result<Found> {
        if let Some(group) = self.group()? {
            self.next = group.end;
            return Ok(Found::Group(group));
        }
        Ok(match self.rest()? {
            Rest::Zeros => Found::End { torn: 0 },
            Rest::Torn => Found::End { torn: self.len.saturating_sub(self.next.position.offset) },
            Rest::Later => Found::Damage,
        })
    }

    /// The group at the mark, if it is good.
    fn group(&self) -> std::io::Result<Option<GroupRead>> {
        let Position { pack, offset } = self.next.position;
        let room = self.len.saturating_sub(offset);
        if room < ENTRY_HEADER {
            return Ok(None);
        }
        let mut header = [0; ENTRY_HEADER as usize];
        self.file.read_exact_at(&mut header, offset)?;
        let Some(EntryHeader { kind: Kind::Group { number, entries, bytes }, .. }) =
            EntryHeader::parse(&header, self.seal)
        else {
            return Ok(None);
        };
        if number != self.next.group || !(ENTRY_HEADER..=GROUP_BYTES_MAX.min(room)).contains(&bytes) {
            return Ok(None);
        }
        let mut raw = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.file.read_exact_at(&mut raw, offset)?;
        let end = Mark { position: Position { pack, offset: offset + bytes }, group: number + 1 };
        Ok(parse(raw, entries, self.seal, self.next, end))
    }

    /// What follows the mark, where no good group starts.
    fn rest(&self) -> std::io::Result<Rest> {
        let mut zeros = true;
        let mut at = self.next.position.offset;
        let mut buf = vec![0; WINDOW];
        while at < self.len {
            let len = usize::try_from(self.len - at).map_or(WINDOW, |left| left.min(WINDOW));
            let window = &mut buf[..len];
            self.file.read_exact_at(window, at)?;
            if !is_zeros(window) {
                zeros = false;
                if self.has_later_group(window) {
                    return Ok(Rest::Later);
                }
            }
            if (len as u64) < ENTRY_HEADER {
                break;
            }
            // Windows overlap by a header, so that none hides between two. The last one ends the loop.
            at += if at + len as u64 == self.len { len as u64 } else { len as u64 - ENTRY_HEADER };
        }
        Ok(if zeros { Rest::Zeros } else { Rest::Torn })
    }

    fn has_later_group(&self, window: &[u8]) -> bool {
        // Every window starts where an entry may start: windows are multiples of the alignment apart.
        window.windows(ENTRY_HEADER as usize).step_by(ALIGN as usize).any(|bytes| {
            // The cheap look first: this is asked of each place in what may be a large torn body.
            if bytes[4] != b'G' {
                return false;
            }
            let mut header = [0; ENTRY_HEADER as usize];
            header.copy_from_slice(bytes);
            matches!(EntryHeader::parse(&header, self.seal),
                Some(EntryHeader { kind: Kind::Group { number, .. }, .. }) if number != self.next.group)
        })
    }
}

enum Rest {
    Zeros,
    Torn,
    Later,
}

/// The entries of a group, if all are good and fill it.
fn parse(raw: Vec<u8>, entries: u32, seal: Seal, start: Mark, end: Mark) -> Option<GroupRead> {
    let mut group = GroupRead { start, end, records: Vec::new(), bodies: Vec::new(), raw: Vec::new() };
    let mut at = ENTRY_HEADER;
    for _ in 0..entries {
        let (header, payload) = entry(&raw, at, seal)?;
        let place = Location { pack: start.position.pack, offset: start.position.offset + at, len: header.len };
        match header.kind {
            Kind::Body { hash } => group.bodies.push((hash, place)),
            Kind::Named { hash } => group.bodies.push((hash, Location::from_bytes(payload.try_into().ok()?))),
            Kind::Record { shard, sequence } => group.records.push((shard, sequence, payload.to_vec())),
            Kind::Group { .. } => return None,
        }
        at = at.checked_add(header.span()?)?;
    }
    if at != raw.len() as u64 {
        return None;
    }
    group.raw = raw;
    Some(group)
}

/// The entry at a byte of a group, if it is good.
fn entry(raw: &[u8], at: u64, seal: Seal) -> Option<(EntryHeader, &[u8])> {
    let rest = raw.get(usize::try_from(at).ok()?..)?;
    let (header, rest) = rest.split_first_chunk::<{ ENTRY_HEADER as usize }>()?;
    let header = EntryHeader::parse(header, seal)?;
    let payload = rest.get(..usize::try_from(header.len).ok()?)?;
    (crc32c::crc32c(payload) == header.crc).then_some((header, payload))
}
