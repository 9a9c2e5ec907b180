//! Reading bodies.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use paquebot_types::BlobHash;

use super::format::{ENTRY_HEADER, EntryHeader, Kind, Seal};
use crate::fs::File;
use crate::location::{Location, PackId};

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("pack {pack}: the entry at byte {offset} fails its checksum; `paquebot check` names the messages in it")]
    Corrupt { pack: PackId, offset: u64 },
    /// The body has moved, or is expunged: a fresh snapshot of the index knows.
    #[error("pack {pack} is gone")]
    Gone { pack: PackId },
    /// It was sent elsewhere, and its file is no longer here: [`crate::Store::lend`] takes the body.
    #[error("pack {pack} is no longer on this machine, but where packs are sent")]
    Elsewhere { pack: PackId },
    #[error("pack {pack}: cannot read {len} bytes at byte {offset}")]
    Read { pack: PackId, offset: u64, len: u64, source: io::Error },
}

/// An open body, to be read in pieces. It stays readable while it is open, even if the body is expunged or moved.
#[derive(Debug, Clone)]
pub struct BodyFile {
    file: Arc<dyn File>,
    location: Location,
    header: EntryHeader,
    hash: BlobHash,
}

impl BodyFile {
    /// Opens the body at a location, and verifies its header.
    pub(crate) fn open(file: Arc<dyn File>, seal: Seal, location: Location) -> Result<Self, ReadError> {
        let mut bytes = [0; ENTRY_HEADER as usize];
        read(&file, location.pack, location.offset, &mut bytes)?;
        let corrupt = ReadError::Corrupt { pack: location.pack, offset: location.offset };
        match EntryHeader::parse(&bytes, seal) {
            Some(header @ EntryHeader { kind: Kind::Body { hash }, len, .. }) if len == location.len => {
                Ok(Self { file, location, header, hash })
            }
            _ => Err(corrupt),
        }
    }

    /// The body's length in bytes.
    pub fn len(&self) -> u64 {
        self.location.len
    }

    pub fn is_empty(&self) -> bool {
        self.location.len == 0
    }

    /// The hash that the body had when it was written.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// The CRC-32C that the whole body had when it was written, for who reads it in pieces and wants to prove them.
    pub fn crc(&self) -> u32 {
        self.header.crc
    }

    /// Reads from byte `offset` of the body, as much as it and `buf` hold, and says how much. The bytes are not verified.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        let left = self.location.len.saturating_sub(offset);
        let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let start = self.location.offset + ENTRY_HEADER + offset.min(self.location.len);
        read(&self.file, self.location.pack, start, &mut buf[..len])?;
        Ok(len)
    }

    /// Reads the whole body and proves it by its hash.
    pub fn read_verified(&self) -> Result<Bytes, ReadError> {
        let Location { pack, offset, len } = self.location;
        let mut buf = Vec::new();
        let size = usize::try_from(len).ok().filter(|size| buf.try_reserve_exact(*size).is_ok());
        let source = || io::ErrorKind::OutOfMemory.into();
        let size = size.ok_or_else(|| ReadError::Read { pack, offset, len, source: source() })?;
        buf.resize(size, 0);
        self.read_at(0, &mut buf)?;
        if blake3::hash(&buf).as_bytes() != &self.hash.0 {
            return Err(ReadError::Corrupt { pack, offset });
        }
        Ok(buf.into())
    }

    /// Reads the whole body in pieces and proves it by its checksum and its hash.
    pub(crate) fn verify(&self, buf: &mut [u8]) -> Result<(), ReadError> {
        let mut hasher = blake3::Hasher::new();
        let (mut crc, mut at) = (0, 0);
        while at < self.len() {
            let read = self.read_at(at, buf)?;
            let bytes = &buf[..read];
            hasher.update(bytes);
            crc = crc32c::crc32c_append(crc, bytes);
            at += read as u64;
        }
        if crc != self.header.crc || hasher.finalize().as_bytes() != &self.hash.0 {
            return Err(ReadError::Corrupt { pack: self.location.pack, offset: self.location.offset });
        }
        Ok(())
    }
}

/// Fills `buf` from a pack. A pack that ends early is damaged.
fn read(file: &Arc<dyn File>, pack: PackId, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
    file.read_exact_at(buf, offset).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Corrupt { pack, offset },
        _ => ReadError::Read { pack, offset, len: buf.len() as u64, source },
    })
}
