//! An evicted pack as a file, for who copies it whole.

use std::io;
use std::sync::Arc;

use super::Offsite;
use super::read_only::Readable;
use crate::index::Sent;
use crate::location::PackId;

/// A pack that is elsewhere only. Reading it blocks, and what comes is not proved.
#[derive(Debug)]
pub(crate) struct FarFile {
    pub offsite: Arc<dyn Offsite>,
    pub pack: PackId,
    pub sent: Sent,
}

impl Readable for FarFile {
    fn len(&self) -> u64 {
        self.sent.bytes
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
}
