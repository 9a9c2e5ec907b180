//! The tables, and the rows that are the store's own.

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, Value,
    WriteTransaction,
};

use super::IndexError;
use super::key::{OwnerKey, ResidentKey};
use super::sent::SENT;
use crate::location::{Location, PackId, Position};

/// shard (u16) and the model's key -> the model's value
pub(crate) const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
/// shard -> sequence (u64) of the last applied record, and the hash chain up to it
pub(crate) const SHARDS: TableDefinition<u16, &[u8; 40]> = TableDefinition::new("shards");
/// shard, account, blob -> the body's location
pub(crate) const LOCATIONS: TableDefinition<&OwnerKey, &[u8; Location::BYTES]> = TableDefinition::new("locations");
/// pack, offset, shard, account, blob: the locations the other way round, by which a pack knows what of it is alive
pub(crate) const RESIDENTS: TableDefinition<&ResidentKey, ()> = TableDefinition::new("residents");
/// pack -> bytes and number of its bodies that some location names. A pack of a single body is here only while nothing names it any
/// more and it waits to be removed.
pub(crate) const PACKS: TableDefinition<u64, &[u8; 16]> = TableDefinition::new("packs");
/// shard, account, blob -> the hash of a body that is to come from elsewhere
pub(crate) const WANTED: TableDefinition<&OwnerKey, &[u8; 32]> = TableDefinition::new("wanted");
/// shard -> import (u64) and its chunks so far (u64): shards that are out of use until an import or a removal is finished
pub(crate) const IMPORTS: TableDefinition<u16, &[u8; 16]> = TableDefinition::new("imports");
/// the store's own values
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

const FORMAT: u32 = 1;

/// How far the log is applied: records of groups before `position` all are. The group there has the number `group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub position: Position,
    pub group: u64,
}

/// Values that belong to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub uuid: [u8; 16],
    /// The end of what redb had written.
    pub written: u64,
    /// Packs of single bodies have had numbers below this one.
    pub next_single: u64,
}

/// What of a pack is alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackLive {
    pub bytes: u64,
    pub bodies: u64,
}

impl PackLive {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bodies.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; 16]) -> Self {
        let [first, second] = numbers(bytes);
        Self { bytes: first, bodies: second }
    }
}

impl Mark {
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.position.pack.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.position.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.group.to_be_bytes());
        bytes
    }
}

/// Big-endian numbers side by side.
fn numbers<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut chunks = bytes.chunks_exact(8);
    std::array::from_fn(|_| {
        let mut number = [0; 8];
        number.copy_from_slice(chunks.next().unwrap_or(&[0; 8]));
        u64::from_be_bytes(number)
    })
}

/// Makes every table, so that a reader finds each.
pub(super) fn make(txn: &WriteTransaction, meta: &Meta, mark: &Mark) -> Result<(), IndexError> {
    txn.open_table(ROWS)?;
    txn.open_table(SHARDS)?;
    txn.open_table(LOCATIONS)?;
    txn.open_table(RESIDENTS)?;
    txn.open_table(PACKS)?;
    txn.open_table(WANTED)?;
    txn.open_table(IMPORTS)?;
    txn.open_table(SENT)?;
    {
        let mut table = txn.open_table(META)?;
        table.insert("format", FORMAT.to_be_bytes().as_slice())?;
        table.insert("uuid", meta.uuid.as_slice())?;
    }
    write_meta(txn, meta.written, meta.next_single, mark)
}

/// Makes the tables that an index of an earlier version lacks. There is nothing in them, so that version can still use it.
pub(super) fn make_missing(db: &Database) -> Result<(), IndexError> {
    match db.begin_read()?.open_table(SENT) {
        Err(TableError::TableDoesNotExist(_)) => {}
        result => return result.map(drop).map_err(IndexError::from),
    }
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    txn.open_table(WANTED)?;
    txn.open_table(IMPORTS)?;
    txn.open_table(SENT)?;
    Ok(txn.commit()?)
}

/// Copies every table but the store's own values, and but what was sent elsewhere: that is the original's.
pub(super) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), IndexError> {
    copy_table(from, to, ROWS)?;
    copy_table(from, to, SHARDS)?;
    copy_table(from, to, LOCATIONS)?;
    copy_table(from, to, RESIDENTS)?;
    copy_table(from, to, PACKS)?;
    copy_table(from, to, WANTED)?;
    copy_table(from, to, IMPORTS)
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<K, V>,
) -> Result<(), IndexError> {
    let from = from.open_table(table)?;
    let mut to = to.open_table(table)?;
    for row in from.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Writes what changes from commit to commit.
pub(super) fn write_meta(
    txn: &WriteTransaction,
    written: u64,
    next_single: u64,
    mark: &Mark,
) -> Result<(), IndexError> {
    let mut table = txn.open_table(META)?;
    table.insert("mark", mark.to_bytes().as_slice())?;
    table.insert("written", written.to_be_bytes().as_slice())?;
    table.insert("next_single", next_single.to_be_bytes().as_slice())?;
    Ok(())
}

pub(super) fn read_meta(txn: &ReadTransaction) -> Result<(Meta, Mark), IndexError> {
    let table = txn.open_table(META)?;
    let value = |name, len| -> Result<Vec<u8>, IndexError> {
        let value = table.get(name)?.ok_or(IndexError::Damaged("a value of the store's own is missing"))?;
        let value = value.value();
        if value.len() != len {
            return Err(IndexError::Damaged("a value of the store's own has a wrong length"));
        }
        Ok(value.to_vec())
    };
    if value("format", 4)? != FORMAT.to_be_bytes() {
        return Err(IndexError::Damaged("its format is not one that this version knows"));
    }
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&value("uuid", 16)?);
    let [written] = numbers(&value("written", 8)?);
    let [next_single] = numbers(&value("next_single", 8)?);
    let [pack, offset, group] = numbers(&value("mark", 24)?);
    let mark = Mark { position: Position { pack: PackId(pack), offset }, group };
    Ok((Meta { uuid, written, next_single }, mark))
}
