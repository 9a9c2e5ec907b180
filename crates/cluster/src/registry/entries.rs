//! What stands in the registry, as JSON: readable by who looks with `etcdctl`.

use std::collections::BTreeMap;

use paquebot_types::{Sequence, ShardId};
use serde::{Deserialize, Serialize};

/// A node of the cluster. Fields that a newer version adds are passed over, and lost when this one writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where other nodes reach it.
    pub address: String,
    /// Its store's number, in hex: a machine that was emptied has another.
    #[serde(default)]
    pub store: String,
    /// The newest format of records that it reads.
    pub reads: u8,
    /// Its program's version, for people.
    pub software: String,
    /// It is about to leave, and hands over what it has.
    #[serde(default)]
    pub leaving: bool,
    /// The member of etcd that it runs.
    #[serde(default)]
    pub etcd: Option<Etcd>,
}

/// A member of etcd that a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Etcd {
    pub client: String,
    pub peer: String,
}

/// A node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Of this start of it, and of no other.
    pub start: String,
    pub address: String,
    pub since_ms: u64,
}

/// How far a node's index is on its disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durable {
    pub at_ms: u64,
    pub shards: BTreeMap<ShardId, Sequence>,
}

/// What a node has of a shard at a marked place of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub shard: ShardId,
    pub sequence: Sequence,
    /// In hex: the hash chain up to it, and the hash over all rows.
    pub chain: String,
    pub state: String,
}
