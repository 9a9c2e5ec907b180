//! The seam through which every file operation of the store goes.
//!
//! A test puts a recording file system behind it, which fails on demand and shows each state that a crash may leave behind. The
//! operations are those of POSIX with its weakest promises: data is on disk after a sync of the file, a name after a sync of its
//! directory, and nothing else is.

mod kind;
mod real;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use kind::FsKind;
pub use real::RealFs;

/// Where files are.
pub trait Fs: fmt::Debug + Send + Sync + 'static {
    /// Makes a directory that only its owner can enter (mode 0700). One that is there already is left as it is.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a file for reading and writing (mode 0600); `AlreadyExists` if the name is taken.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens a file that is there for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens a file that is there for reading.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name within its file system, in place of what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// What the path's file system is.
    fn kind(&self, path: &Path) -> io::Result<FsKind>;
    /// Takes the lock that one process holds until it drops it or ends, however it ends.
    fn lock(&self, path: &Path) -> Result<Box<dyn FsLock>, LockError>;
}

/// An open file. Reads and writes name their offsets, so one handle serves many threads.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait File: fmt::Debug + Send + Sync + 'static {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads at most `buf`; 0 is the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at least one byte of the slices, in order, and says how many.
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Cuts the file, or lengthens it by zeros that take no space.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves the space of a range, so that writing there does not meet a full disk. Bytes past the end read as zeros.
    fn allocate(&self, offset: u64, len: u64, size: FileSize) -> io::Result<()>;
    /// Makes the data, and the length that is needed to read it, durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Makes data and metadata durable (`fsync`).
    fn sync_all(&self) -> io::Result<()>;
}

/// What [`File::allocate`] does to the length of a file that is shorter than the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSize {
    Extend,
    Keep,
}

/// A lock that is held until it is dropped.
pub trait FsLock: fmt::Debug + Send + Sync {}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("held by process {}", .pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string()))]
    Held { pid: Option<u32> },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl dyn File {
    /// Fills `buf`, or fails with `UnexpectedEof`.
    pub fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buf = buf.get_mut(read..).unwrap_or_default();
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of the slices.
    pub fn write_all_at(&self, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // Without this a slice of no bytes at the end would look like a write that makes no progress.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.write_at(slices, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut slices, written);
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether the error says that there is no room: the disk, a quota or the file's largest size.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
