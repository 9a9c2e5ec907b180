//! The index file as redb sees it: our seam's file, with its space reserved ahead.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::StorageBackend;

use super::IndexError;
use crate::fs::{File, FileSize};

/// Space is reserved in steps of this many bytes.
const STEP: u64 = 4 << 20;

/// The index file, shared by redb and by the store that watches over its space.
#[derive(Debug)]
pub(crate) struct IndexFile {
    file: Arc<dyn File>,
    /// The end of what was ever written. The file's length says little: redb doubles it, and most of it is a hole.
    written: AtomicU64,
    /// Up to here the file system has given its word.
    reserved: AtomicU64,
    /// Set when the index is given up: nothing may be written any more, since a newer handle may own the file.
    retired: AtomicBool,
    /// Set by the first operation that fails: redb then refuses everything, and so does the store, with a name for it.
    failed: AtomicBool,
}

impl IndexFile {
    pub(crate) fn new(file: Arc<dyn File>) -> Arc<Self> {
        Arc::new(Self { file, written: 0.into(), reserved: 0.into(), retired: false.into(), failed: false.into() })
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// What the file remembers of its own end.
    pub(crate) fn set_written(&self, written: u64) {
        self.written.fetch_max(written, Ordering::Relaxed);
    }

    /// Gives the file up: this handle writes nothing more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Sees to it that redb can write `headroom` more bytes without meeting a full disk.
    pub(crate) fn reserve(&self, headroom: u64) -> io::Result<()> {
        let reserved = self.reserved.load(Ordering::Relaxed);
        let need = self.written().saturating_add(headroom);
        if need <= reserved {
            return Ok(());
        }
        let target = need.next_multiple_of(STEP);
        self.file.allocate(reserved, target - reserved, FileSize::Keep)?;
        self.reserved.store(target, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn check_failed(&self) -> Result<(), IndexError> {
        if self.failed.load(Ordering::Acquire) { Err(IndexError::Failed) } else { Ok(()) }
    }

    fn writing<T>(&self, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.retired.load(Ordering::Acquire) {
            return Err(io::Error::other("this handle of the index was given up"));
        }
        self.noting(write())
    }

    fn noting<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        result
    }
}

/// What redb owns of an [`IndexFile`].
#[derive(Debug)]
pub(crate) struct Backend(pub(crate) Arc<IndexFile>);

// The data directory's lock keeps other processes out, so the range locks of the trait stay unsupported.
impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.noting(self.0.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.noting(self.0.file.read_exact_at(out, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.writing(|| self.0.file.set_len(len))?;
        // What lay behind a cut is free again, what was reserved there too.
        self.0.reserved.fetch_min(len, Ordering::Relaxed);
        self.0.written.fetch_min(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.writing(|| self.0.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.writing(|| self.0.file.write_all_at(&mut [IoSlice::new(data)], offset))?;
        self.0.written.fetch_max(offset.saturating_add(data.len() as u64), Ordering::Relaxed);
        Ok(())
    }
}
