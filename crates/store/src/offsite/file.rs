//! An evicted pack as a file, for who copies it whole.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::Offsite;
use crate::fs::{File, FileSize};
use crate::index::Sent;
use crate::location::PackId;

/// A pack that is elsewhere only. Reading it blocks, and what comes is not proved.
#[derive(Debug)]
pub(crate) struct FarFile {
    pub offsite: Arc<dyn Offsite>,
    pub pack: PackId,
    pub sent: Sent,
}

impl File for FarFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.sent.bytes)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64).min(self.sent.bytes);
        if offset >= end {
            return Ok(0);
        }
        let bytes = self.offsite.read(self.pack, &self.sent, offset..end)?;
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
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
