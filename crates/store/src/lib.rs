//! The local store: an index of rows, and packs of bodies and records.
//!
//! Packs are the write-ahead log: [`Store::append_group`] writes a group of bodies and records by one write and one sync. The index is
//! changed by applying those records ([`Store::write`]), without waiting for the disk; a checkpoint makes it durable now and then,
//! together with the position in the log that it reflects. After a crash [`Store::open`] hands out the records after that position,
//! to be applied again.
//!
//! The store knows rows, bodies and records as bytes. What they mean is the model's; when they are written is the replica's.

mod backup;
mod check;
pub mod fs;
mod index;
mod layout;
mod location;
mod open;
mod options;
mod pack;
#[cfg(feature = "test-support")]
pub mod recorded;
mod recovery;
mod space;
mod store;
mod tail;

pub use backup::{Backup, BackupError};
pub use check::{CheckError, Checker, Problem, Report};
pub use index::{Applied, IndexError, PackLive, ReadRows, ReadTxn, WriteRows, WriteTxn};
pub use location::{Location, PackId, Position};
pub use open::OpenError;
pub use options::Options;
pub use pack::{
    AppendError, Appended, BodyFile, GROUP_BYTES_MAX, GroupItem, ReadError, StageError, StagedBlob, StagedBody,
};
pub use recovery::Recovery;
pub use space::{Budget, ReclaimError, Reclaimed};
pub use store::Store;
pub use tail::{Tail, TailGroup, TailRecord, Torn};
