//! Walking a whole pack, and past what is damaged in it.

use std::io;
use std::sync::Arc;

use paquebot_types::BlobHash;

use super::format::{ALIGN, ENTRY_HEADER, EntryHeader, Kind, PACK_HEADER, PackHeader, Seal, is_zeros};
use crate::fs::File;
use crate::location::PackId;

/// What is found on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    Group,
    Record,
    /// A body that has its hash.
    Body {
        offset: u64,
        len: u64,
        hash: BlobHash,
    },
    /// Something that fails its checksum. The walk goes on at the next header that is good.
    Damaged {
        offset: u64,
    },
}

/// A walk from a pack's start to its end, entry by entry, proving each.
pub(crate) struct Walk {
    file: Arc<dyn File>,
    seal: Seal,
    offset: u64,
    end: u64,
    header_damaged: bool,
}

impl Walk {
    /// Ends at `end`, or where only zeros follow.
    pub(crate) fn new(
        file: Arc<dyn File>,
        seal: Seal,
        uuid: &[u8; 16],
        pack: PackId,
        end: Option<u64>,
    ) -> io::Result<Self> {
        let len = file.len()?;
        let end = end.unwrap_or(len).min(len);
        let mut bytes = [0; PACK_HEADER as usize];
        if len >= PACK_HEADER {
            file.read_exact_at(&mut bytes, 0)?;
        }
        let header = PackHeader::parse(&bytes).filter(|header| header.uuid == *uuid && header.pack == pack);
        Ok(Self { file, seal, offset: PACK_HEADER, end, header_damaged: header.is_none() })
    }

    /// Proved so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next thing; `None` at the end. `buf` is for reading.
    pub(crate) fn next(&mut self, buf: &mut [u8]) -> io::Result<Option<Walked>> {
        if std::mem::take(&mut self.header_damaged) {
            return Ok(Some(Walked::Damaged { offset: 0 }));
        }
        if self.offset >= self.end {
            return Ok(None);
        }
        let at = self.offset;
        let Some((header, span)) = self.header(at)? else { return self.skip(buf) };
        if let Kind::Group { .. } = header.kind {
            self.offset += ENTRY_HEADER;
            return Ok(Some(Walked::Group));
        }
        self.offset += span;
        let (crc, hash) = self.digest(at + ENTRY_HEADER, header, buf)?;
        Ok(Some(match header.kind {
            _ if crc != header.crc => Walked::Damaged { offset: at },
            Kind::Body { hash: said } if hash != Some(said) => Walked::Damaged { offset: at },
            Kind::Body { hash } => Walked::Body { offset: at, len: header.len, hash },
            Kind::Record { .. } | Kind::Named { .. } | Kind::Group { .. } => Walked::Record,
        }))
    }

    /// A good header of an entry that ends within the pack.
    fn header(&self, at: u64) -> io::Result<Option<(EntryHeader, u64)>> {
        if self.end.saturating_sub(at) < ENTRY_HEADER {
            return Ok(None);
        }
        let mut bytes = [0; ENTRY_HEADER as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        let header = EntryHeader::parse(&bytes, self.seal);
        Ok(header.and_then(|header| Some((header, header.span()?))).filter(|(_, span)| *span <= self.end - at))
    }

    /// The checksum of a payload, and its hash if it is a body's.
    fn digest(&self, at: u64, header: EntryHeader, buf: &mut [u8]) -> io::Result<(u32, Option<BlobHash>)> {
        let mut hasher = matches!(header.kind, Kind::Body { .. }).then(blake3::Hasher::new);
        let (mut crc, mut done) = (0, 0);
        while done < header.len {
            let len = usize::try_from(header.len - done).map_or(buf.len(), |left| left.min(buf.len()));
            self.file.read_exact_at(&mut buf[..len], at + done)?;
            crc = crc32c::crc32c_append(crc, &buf[..len]);
            if let Some(hasher) = &mut hasher {
                hasher.update(&buf[..len]);
            }
            done += len as u64;
        }
        Ok((crc, hasher.map(|hasher| BlobHash(*hasher.finalize().as_bytes()))))
    }

    /// Goes on to the next good header. Zeros up to the end are no damage: they are space that was reserved.
    fn skip(&mut self, buf: &mut [u8]) -> io::Result<Option<Walked>> {
        let damaged = self.offset;
        let mut zeros = true;
        while self.offset < self.end {
            let len = usize::try_from(self.end - self.offset).map_or(buf.len(), |left| left.min(buf.len()));
            let window = &mut buf[..len];
            self.file.read_exact_at(window, self.offset)?;
            zeros &= is_zeros(window);
            // Not the place where no good header was found.
            let skip = if self.offset == damaged { ALIGN as usize } else { 0 };
            let places = (skip..len.saturating_sub(ENTRY_HEADER as usize - 1)).step_by(ALIGN as usize);
            for place in places {
                if window[place] != 0 || window[place + 4] != 0 {
                    let at = self.offset + place as u64;
                    if self.header(at)?.is_some() {
                        self.offset = at;
                        return Ok(Some(Walked::Damaged { offset: damaged }));
                    }
                }
            }
            // Windows overlap, so that no header hides between two.
            let overlap = if self.offset + len as u64 == self.end { 0 } else { ENTRY_HEADER };
            self.offset += len as u64 - overlap;
        }
        Ok((!zeros).then_some(Walked::Damaged { offset: damaged }))
    }
}
