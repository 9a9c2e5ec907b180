//! Who else has a shard.

use paquebot_peer::NodeName;
use paquebot_types::ShardId;

/// Another node that hosts a shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    pub node: NodeName,
    /// Where it is reached: `host:port`.
    pub address: String,
    /// Whether it is believed to be up.
    pub is_up: bool,
}

/// What is known of who hosts what. Hints: nothing is lost when they are wrong.
pub trait Holders: Send + Sync {
    /// The other nodes that host the shard, those that are believed to be up first.
    fn of(&self, shard: ShardId) -> Vec<Holder>;

    /// Whether no other node is meant to host the shard: then what this one has on its disk is all that there can be.
    fn is_alone(&self, shard: ShardId) -> bool;
}
