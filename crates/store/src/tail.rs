//! What a start hands to the replica: the part of the log that the index does not know yet.

use paquebot_types::{BlobHash, Sequence, ShardId};

use crate::location::{Location, PackId};
use crate::pack::Pin;

/// Groups after the checkpoint, in order. The records in them are to be applied again, by [`crate::Store::write`], before anything
/// is read or appended. Records that the index has applied already are left out.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    pub groups: Vec<TailGroup>,
    /// A write that did not reach the disk whole, and so was never acknowledged; it has been cut off.
    pub torn: Option<Torn>,
}

/// One group of the tail.
#[derive(Debug, Clone, Default)]
pub struct TailGroup {
    pub records: Vec<TailRecord>,
    /// The bodies that came with the records, or that a record elsewhere was to name.
    pub bodies: Vec<(BlobHash, Location)>,
    /// Keeps the bodies. Whoever applies the records here needs it no longer than them.
    pub pin: Pin,
}

/// One record of the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailRecord {
    pub shard: ShardId,
    pub sequence: Sequence,
    pub bytes: Vec<u8>,
}

/// Where a torn write was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    pub pack: PackId,
    pub offset: u64,
    pub bytes: u64,
}
