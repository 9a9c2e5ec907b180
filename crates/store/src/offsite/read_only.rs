//! Octets that are somewhere else, as a file.

use std::fmt;
use std::io::{self, IoSlice};

use crate::fs::{File, FileSize};

/// What can be read at any place.
pub(crate) trait Readable: fmt::Debug + Send + Sync + 'static {
    /// Where it ends.
    fn len(&self) -> u64;
    /// Reads at most `buf`; 0 is the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A file of it, which nobody can write.
#[derive(Debug)]
pub(crate) struct ReadOnly<T>(pub T);

impl<T: Readable> File for ReadOnly<T> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _: u64, _: u64, _: FileSize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}
