//! The seam that makes one machine or many: an ordered, durable sequence of records for each shard.
//!
//! Nothing above it sees an engine's types; only the binary and the tests name an engine. Every engine passes [`suite`], also behind a
//! [`faulty::FaultyLog`].

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use paquebot_model::{Record, RecordError, RecordId};
use paquebot_store::{Location, Pin, StagedBlob, Tail};
use paquebot_types::{BlobHash, Sequence, ShardId};
use tokio::sync::mpsc;

pub mod faulty;
pub mod suite;

/// A future of a trait object.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A message body that a record brings.
#[derive(Debug, Clone)]
pub enum Body {
    /// Not on disk yet: the engine makes it durable before the record, or with it.
    Bytes { hash: BlobHash, bytes: Bytes },
    /// On this machine's disk already, in a pack of its own: a large one, that was streamed there. It becomes part of the store with the record.
    Staged(Arc<StagedBlob>),
}

impl Body {
    pub fn hash(&self) -> BlobHash {
        match self {
            Self::Bytes { hash, .. } => *hash,
            Self::Staged(blob) => blob.hash(),
        }
    }

    /// Octets that the engine has yet to write.
    pub fn unwritten_bytes(&self) -> usize {
        match self {
            Self::Bytes { bytes, .. } => bytes.len(),
            Self::Staged(_) => 0,
        }
    }
}

/// The bodies of a record that will be appended.
#[derive(Debug, Clone)]
pub struct RecordBodies {
    pub shard: ShardId,
    pub record: RecordId,
    /// What the record's proposer had applied: [`Record::after`].
    pub after: Sequence,
    /// Their hashes are right.
    pub bodies: Vec<Body>,
}

/// A record at its place in the log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub shard: ShardId,
    pub sequence: Sequence,
    pub record: Record,
    /// Where this machine has the bodies that came with the record. Those that it lacks are fetched from elsewhere.
    pub bodies: Arc<[(BlobHash, Location)]>,
    /// Keep those bodies where they are until the record is applied: whoever applies it holds the entry until then.
    pub pins: Vec<Pin>,
}

/// The records of a store's tail, decoded.
pub fn entries(tail: Tail) -> Result<Vec<Entry>, RecordError> {
    let mut entries = Vec::new();
    for group in tail.groups {
        let bodies: Arc<[_]> = group.bodies.into();
        for record in group.records {
            let (shard, sequence) = (record.shard, record.sequence);
            let (record, bodies) = (Record::decode(&record.bytes)?, bodies.clone());
            entries.push(Entry { shard, sequence, record, bodies, pins: Vec::new() });
        }
    }
    Ok(entries)
}

/// Where a log puts the records of the shards that are followed. The receiver's slowness slows the log.
pub type Feed = mpsc::Sender<Fed>;

/// What comes out of a [`Feed`].
#[derive(Debug)]
pub enum Fed {
    Entries(Vec<Entry>),
    /// The log cannot go on for this shard.
    Failed(ShardId, LogError),
}

/// Why a record was not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Not appended, and never will be: there is no room.
    #[error("the disk is full")]
    Full,
    /// Not appended, and never will be.
    #[error("the log cannot take changes now: {0}")]
    Unavailable(String),
    /// Nobody can tell whether it was appended. Its proposer must not say that it was not.
    #[error("the outcome of the change is unknown: {0}")]
    Unknown(String),
}

/// Why a log cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    #[error("shard {0}: the records that were asked for have been trimmed; the shard must be copied from a peer")]
    Trimmed(ShardId),
    #[error("the log cannot be read: {0}")]
    Unavailable(String),
    #[error("the log holds a record that cannot be read: {0}")]
    Damaged(String),
    /// Written by a newer build; nothing after it can be applied either.
    #[error("the log holds a record of format version {0}, which this build does not read: upgrade this node")]
    Newer(u8),
    /// What was acknowledged once is not in the log any more: an old backup was restored, say. A node must not follow it.
    #[error("the log has lost records: {0}")]
    Lost(String),
}

/// An ordered, durable sequence of records for each shard.
pub trait Log: Send + Sync {
    /// Appends one record with the bodies that it names; resolves when it is durable. Retrying with the same record id is safe: it is one
    /// record.
    fn append(&self, shard: ShardId, record: Record, bodies: Vec<Body>)
    -> BoxFuture<'_, Result<Sequence, AppendError>>;

    /// Feeds the records after `after`, in order, without gaps and without end, until the feed's receiver is dropped.
    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>>;

    /// The last durable sequence: what a reader must reach to miss nothing that was acknowledged.
    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>>;

    /// Forgets records up to and including `upto`, which every member has applied durably.
    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>>;

    /// Whether the store's own tail holds the records that its index may lose in a crash. If not they are followed again.
    fn records_in_store(&self) -> bool {
        false
    }
}

/// The other machines that keep a shard's bodies.
///
/// An engine whose log is elsewhere asks them before it appends: a record is acknowledged only when two machines can lose one of them.
pub trait Keepers: Send + Sync {
    /// Says of each record when at least one other node that hosts its shard has its bodies on its disk, and expects the record that names them; at
    /// once of one whose shard only this node hosts. An error, whichever, leaves nothing that a record names. There are as many answers as records.
    fn keep(&self, records: Vec<RecordBodies>) -> BoxFuture<'_, Vec<Result<(), AppendError>>>;
}

/// No other machine: a cluster of one node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Keepers for Alone {
    fn keep(&self, records: Vec<RecordBodies>) -> BoxFuture<'_, Vec<Result<(), AppendError>>> {
        Box::pin(std::future::ready(records.iter().map(|_| Ok(())).collect()))
    }
}
