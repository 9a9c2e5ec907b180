//! What a node must be able to do for its peers: the seam between the wire and the rest.

use std::net::SocketAddr;

use bytes::Bytes;
use paquebot_log::{AppendError, BoxFuture, RecordBodies};
use paquebot_store::BodyFile;
use paquebot_types::{AccountId, BlobId, Sequence, ShardId};

use crate::join::{JoinRefusal, JoinRequest, Welcome};
use crate::name::NodeName;
use crate::passed_on::Offer;

/// A node, as its peers see it. `from` is the peer that asks, as its certificate names it.
pub trait Host: Send + Sync + 'static {
    /// Takes the bodies of records that will be appended; large ones are staged. All are on disk when this is done, flushed, and findable after a crash.
    fn receive<'a>(&'a self, from: &'a NodeName, records: Vec<RecordBodies>) -> BoxFuture<'a, Result<(), AppendError>>;

    /// The body of a message; `None` if this node has it not, or no more. Called where it may block.
    fn body(&self, from: &NodeName, name: BodyName) -> Result<Option<BodyFile>, Refusal>;

    /// A body's bytes were found to be damaged when a peer asked for it.
    fn damaged(&self, name: BodyName, file: &BodyFile);

    /// A consistent copy of a shard's rows. Called where it may block.
    fn export(&self, from: &NodeName, shard: ShardId) -> Result<Box<dyn Snapshot>, Refusal>;

    /// Answers a short question of some kind; what the kinds are is the host's matter. At most [`ASK_BYTES_MAX`] each way.
    ///
    /// [`ASK_BYTES_MAX`]: crate::ASK_BYTES_MAX
    fn ask<'a>(&'a self, from: &'a NodeName, kind: &'a str, question: Bytes) -> BoxFuture<'a, Result<Bytes, Refusal>>;

    /// A machine that has a token, and no certificate yet, wants to become a node. The server slows down who comes with wrong tokens.
    fn join(&self, address: SocketAddr, request: JoinRequest) -> BoxFuture<'_, Result<Welcome, JoinRefusal>>;

    /// Serves an IMAP connection that a peer passes on; done when it has ended. The preface is as the peer gave it, in an encoding that is the
    /// sessions' matter.
    fn session<'a>(&'a self, from: &'a NodeName, preface: Bytes, offer: Offer) -> BoxFuture<'a, ()>;

    /// The same for an LMTP connection.
    fn lmtp<'a>(&'a self, from: &'a NodeName, preface: Bytes, offer: Offer) -> BoxFuture<'a, ()>;
}

/// What a body is called between nodes: all that host a shard have the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyName {
    pub shard: ShardId,
    pub account: AccountId,
    pub blob: BlobId,
}

/// A copy of a shard's rows, given out in chunks. Its methods are called where they may block.
pub trait Snapshot: Send {
    fn header(&self) -> SnapshotHeader;

    /// The next rows, in the order of their keys, at most [`CHUNK_BYTES_MAX`]; `None` after the last.
    ///
    /// [`CHUNK_BYTES_MAX`]: crate::CHUNK_BYTES_MAX
    fn next(&mut self) -> Result<Option<Bytes>, String>;
}

/// What a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The last record applied, and the hash chain up to it.
    pub applied: Sequence,
    pub chain: [u8; 32],
    /// The hash over all rows.
    pub state_hash: [u8; 32],
}

/// A node's answer to a peer: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has not, or knows not, what was asked for; another node may.
    #[error("{0}")]
    NotHere(String),
    /// Not now; asking again later may help.
    #[error("{0}")]
    Unavailable(String),
    /// It failed, and asking again is of no use.
    #[error("{0}")]
    Failed(String),
}
