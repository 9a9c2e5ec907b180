//! Packs that are kept elsewhere too.

use redb::{ReadableTable, TableDefinition};

use super::{IndexError, ReadTxn, WriteTxn};
use crate::location::PackId;

/// pack -> length (u64) and BLAKE3 hash of its file, as it is elsewhere
pub(super) const SENT: TableDefinition<u64, &[u8; 40]> = TableDefinition::new("sent");

/// A pack's file as it was sent elsewhere, and proved there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sent {
    pub bytes: u64,
    pub hash: [u8; 32],
}

impl Sent {
    fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash);
        bytes
    }

    fn from_bytes(bytes: &[u8; 40]) -> Self {
        let (mut len, mut hash) = ([0; 8], [0; 32]);
        len.copy_from_slice(&bytes[..8]);
        hash.copy_from_slice(&bytes[8..]);
        Self { bytes: u64::from_be_bytes(len), hash }
    }
}

impl ReadTxn {
    /// How a pack is elsewhere, if it is.
    pub(crate) fn sent(&self, pack: PackId) -> Result<Option<Sent>, IndexError> {
        let sent = self.redb().open_table(SENT)?.get(pack.0)?;
        Ok(sent.map(|sent| Sent::from_bytes(sent.value())))
    }

    /// Every pack that is elsewhere, ascending.
    pub(crate) fn all_sent(&self) -> Result<Vec<(PackId, Sent)>, IndexError> {
        let table = self.redb().open_table(SENT)?;
        let mut all = Vec::new();
        for row in table.iter()? {
            let (pack, sent) = row?;
            all.push((PackId(pack.value()), Sent::from_bytes(sent.value())));
        }
        Ok(all)
    }
}

impl WriteTxn<'_> {
    /// Says that a pack is elsewhere, or with `None` that it is not any more.
    pub(crate) fn set_sent(&mut self, pack: PackId, sent: Option<Sent>) -> Result<(), IndexError> {
        let mut table = self.txn.open_table(SENT)?;
        match sent {
            Some(sent) => table.insert(pack.0, &sent.to_bytes())?,
            None => table.remove(pack.0)?,
        };
        Ok(())
    }
}
