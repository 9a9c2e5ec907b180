//! Who else has a shard, by the registry.

use paquebot_blobs::{Holder, Holders};
use paquebot_peer::NodeName;
use paquebot_types::ShardId;

use crate::registry::{Registry, Seen};

/// The other hosts of a shard, those that are up first. Those that seem to be down stay in it: a lease may have ended for want of etcd alone.
pub struct RegisteredHolders {
    registry: Registry,
    node: NodeName,
}

impl RegisteredHolders {
    pub fn new(registry: Registry, node: NodeName) -> Self {
        Self { registry, node }
    }
}

impl Holders for RegisteredHolders {
    fn of(&self, shard: ShardId) -> Vec<Holder> {
        let view = self.registry.view();
        let others = view.hosts(shard).into_iter().filter(|node| **node != self.node);
        let holder = |node: &NodeName| {
            Some(Holder {
                node: node.clone(),
                address: view.address(node)?.to_owned(),
                is_up: view.seen(node) == Seen::Up,
            })
        };
        others.filter_map(holder).collect()
    }

    fn is_alone(&self, shard: ShardId) -> bool {
        let view = self.registry.view();
        view.table.as_ref().is_some_and(|table| table.hosts(shard).all(|node| *node == self.node))
    }
}
