//! The local store: an index of rows, and packs of bodies and records.
//!
//! Packs are the write-ahead log: [`Store::append_group`] writes a group of bodies and records by one write and one sync. The index is
//! changed by applying those records ([`Store::write`]), without waiting for the disk; a checkpoint makes it durable now and then,
//! together with the position in the log that it reflects. After a crash [`Store::open`] hands out the records after that position,
//! to be applied again. FORMAT.md describes the files.
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc};
//! # use paquebot_store::{GroupItem, IndexError, Options, Store, fs::RealFs};
//! # use paquebot_types::{Sequence, ShardId};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, tail) = Store::open(Arc::new(RealFs), Path::new("paquebot-data"), Options::default())?;
//! assert!(tail.groups.is_empty(), "else its records are applied first");
//! let record = GroupItem::Record { shard: ShardId::FIRST, sequence: Sequence(1), bytes: b"what was asked" };
//! store.append_group(&[record])?; // durable: it can be acknowledged once it is applied
//! store.write(|txn| -> Result<(), IndexError> {
//!     let changes = []; // what the model makes of the record and of `txn.rows(ShardId::FIRST)`
//!     txn.change(ShardId::FIRST, &changes)?;
//!     txn.set_applied(ShardId::FIRST, Sequence(1), [0; 32])
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! The store knows rows, bodies and records as bytes. What they mean is the model's; when they are written is the replica's.

mod backup;
mod check;
pub mod fs;
mod heal;
mod index;
mod layout;
mod location;
mod offsite;
mod open;
mod options;
mod pack;
#[cfg(feature = "test-support")]
pub mod recorded;
mod recovery;
mod space;
mod store;
mod tail;
mod transfer;

pub use backup::{Backup, BackupError};
pub use check::{CheckError, Checker, Problem, Report};
pub use heal::{Fetched, PlaceError};
pub use index::{Applied, IndexError, PackLive, ReadRows, ReadTxn, Sent, Wanted, WriteRows, WriteTxn};
pub use location::{Location, PackId, Position};
pub use offsite::{Cached, Offsite, OffsiteError, SealedPack};
pub use open::OpenError;
pub use options::Options;
pub use pack::{
    AppendError, Appended, BodyFile, GROUP_BYTES_MAX, GroupItem, Pin, ReadError, StageError, StagedBlob, StagedBody,
};
pub use recovery::Recovery;
pub use space::{Budget, ReclaimError, Reclaimed};
pub use store::Store;
pub use tail::{Tail, TailGroup, TailRecord, Torn};
pub use transfer::{BlobOf, DropError, Export, ExportError, Import, ImportError};
