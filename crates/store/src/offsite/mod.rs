//! Packs that are kept elsewhere too, so that this machine's disk is a cache of them.
//!
//! Whoever sends packs says of each when it is there and proved ([`Store::set_sent`]). Such a pack may be **evicted**: a checkpoint makes durable
//! that it is elsewhere, then its file goes. That is all there is to know of it: a pack that is named, was sent and has no file is evicted.
//! Its bodies are read one by one from where it is: [`Store::lend`] takes one for whoever reads it now, and keeps it in memory for a while.

mod evict;
mod file;
mod lent;
mod read_only;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::Store;
use crate::fs::File;
use crate::index::{IndexError, Sent};
use crate::location::{Location, PackId};
use crate::pack::{BodyFile, ENTRY_HEADER, ReadError};
use crate::store::Inner;

pub(crate) use file::FarFile;
pub(crate) use lent::Lent;
pub(crate) use read_only::ReadOnly;

/// Where packs are sent.
pub trait Offsite: fmt::Debug + Send + Sync {
    /// Reads a part of a pack. Blocks. The bytes are not believed.
    fn read(&self, pack: PackId, sent: &Sent, range: Range<u64>) -> io::Result<Bytes>;
}

/// A pack that does not change any more.
#[derive(Debug, Clone)]
pub struct SealedPack {
    file: Arc<dyn File>,
    len: u64,
}

/// A pack that is here and elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cached {
    pub pack: PackId,
    pub sent: Sent,
    /// Grows with each use; 0 for a pack that was not read since the start.
    pub last_read: u64,
}

/// Packs cannot be listed, opened or removed.
#[derive(Debug, thiserror::Error)]
pub enum OffsiteError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cannot list, open or remove packs")]
    Io(#[from] io::Error),
}

impl SealedPack {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buf` with what lies at `offset`.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl Location {
    /// The bytes of its pack that [`Store::lend`] takes: the body and what proves it.
    pub fn entry(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(ENTRY_HEADER).saturating_add(self.len)
    }
}

impl Store {
    /// Lets what may wait for it (backup, reclaiming, peers) read evicted packs. Once only.
    pub fn set_offsite(&self, offsite: Arc<dyn Offsite>) {
        if self.inner().offsite.set(offsite).is_err() {
            tracing::warn!("where packs are sent was said twice; the first is kept");
        }
    }

    /// Whether a body's pack is evicted and the body was not lent: how the pack is elsewhere.
    pub fn elsewhere(&self, location: Location) -> Result<Option<Sent>, ReadError> {
        let here = self.body_file(location);
        match here {
            Err(ReadError::Elsewhere { pack }) => {
                let sent = self.read().and_then(|snapshot| snapshot.sent(pack));
                sent.map_err(|error| unreadable(location, error))
            }
            _ => Ok(None),
        }
    }

    /// Takes the bytes of [`Location::entry`] of an evicted pack, and proves them by checksum and hash: [`Store::body_file`] finds the body for
    /// a while. `Corrupt` if they are others than were written.
    pub fn lend(&self, location: Location, entry: Bytes) -> Result<(), ReadError> {
        let file = self.inner().proved(location, entry)?;
        self.inner().lent.put(location, file);
        Ok(())
    }

    /// As [`Store::body_file`], but a body in an evicted pack is fetched and proved, which blocks.
    pub fn body_file_anywhere(&self, location: Location) -> Result<BodyFile, ReadError> {
        let inner = self.inner();
        let (Some(sent), Some(offsite)) = (self.elsewhere(location)?, inner.offsite.get()) else {
            return self.body_file(location);
        };
        let entry = offsite.read(location.pack, &sent, location.entry()).map_err(|source| ReadError::Read {
            pack: location.pack,
            offset: location.offset,
            len: location.len,
            source,
        })?;
        BodyFile::open(inner.proved(location, entry)?, inner.identity.seal(location.pack), location)
    }
}

impl Inner {
    /// A body's entry as a file, if it is the one that was written there.
    fn proved(&self, location: Location, entry: Bytes) -> Result<Arc<dyn File>, ReadError> {
        let file: Arc<dyn File> = Arc::new(ReadOnly(lent::Entry { start: location.offset, bytes: entry }));
        let body = BodyFile::open(file.clone(), self.identity.seal(location.pack), location)?;
        body.verify(&mut vec![0; 64 << 10])?;
        Ok(file)
    }

    /// Whether a place's pack is elsewhere and not here.
    pub(crate) fn is_evicted(&self, location: Location) -> Result<bool, IndexError> {
        match self.files.open(location.pack) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.sent(location.pack)?.is_some()),
            _ => Ok(false),
        }
    }

    /// Why a pack has no file.
    pub(crate) fn absent(&self, location: Location) -> ReadError {
        let pack = location.pack;
        match self.sent(pack) {
            Ok(Some(_)) => ReadError::Elsewhere { pack },
            Ok(None) => ReadError::Gone { pack },
            Err(error) => unreadable(location, error),
        }
    }

    /// How a pack is elsewhere, if it is.
    fn sent(&self, pack: PackId) -> Result<Option<Sent>, IndexError> {
        let index = self.index.read();
        index.as_ref().ok_or(IndexError::Failed)?.read(Arc::default())?.sent(pack)
    }
}

fn unreadable(location: Location, error: IndexError) -> ReadError {
    let Location { pack, offset, len } = location;
    ReadError::Read { pack, offset, len, source: io::Error::other(error) }
}
