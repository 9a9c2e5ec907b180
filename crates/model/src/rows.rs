//! The state machine's memory: ordered rows of bytes, read through a seam and changed only by the [`RowChange`]s of a record.
//!
//! The store keeps the rows on disk, a test keeps them in a map; the model cannot tell which.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// The rows could not be read. The cause is the store's: a failed disk, a damaged file.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the index: {0}")]
pub struct RowsError(pub Box<dyn std::error::Error + Send + Sync>);

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    Continue,
    Stop,
}

/// Ordered rows of one shard, as they were at one moment.
pub trait Rows {
    /// The value of one row.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError>;

    /// Shows every row with `from <= key < to`, ascending, until `see` says stop.
    fn scan(&self, from: &[u8], to: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> Scan) -> Result<(), RowsError>;
}

/// One row's new value; `None` deletes the row.
#[derive(Clone, PartialEq, Eq)]
pub struct RowChange {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for RowChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?} bytes", self.key.escape_ascii(), self.value.as_ref().map(Vec::len))
    }
}

/// Rows in memory: for tests, and for what is gathered before it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRows {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryRows {
    /// Puts a record's changes in.
    pub fn change(&mut self, changes: &[RowChange]) {
        for change in changes {
            match &change.value {
                Some(value) => self.rows.insert(change.key.clone(), value.clone()),
                None => self.rows.remove(&change.key),
            };
        }
    }

    /// Every row, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

impl Rows for MemoryRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> Scan) -> Result<(), RowsError> {
        if from >= to {
            return Ok(());
        }
        for (key, value) in self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))) {
            if see(key, value) == Scan::Stop {
                break;
            }
        }
        Ok(())
    }
}
