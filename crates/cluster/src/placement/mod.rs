//! Which node hosts which shard.
//!
//! A table says it, and [`Table::next`] computes the table that follows from it when nodes come and go: a pure function, so whoever computes it gets the
//! same. A node is given a shard as [`Standing::Joining`], and says itself when it has copied it; a node that loses one is [`Standing::Leaving`],
//! and lets go only when nobody is joining any more. So a shard has its replicas, up to date, at every step.
//!
//! Who takes a shard is decided by rendezvous hashing: each node has a rank for each shard, and the highest take it. A node that comes or goes
//! then moves only its own share. Hashing alone is uneven when a node has few shards, so no node takes more than its share and a twentieth.

mod rank;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use paquebot_peer::NodeName;
use paquebot_types::ShardId;

pub use table::{Place, Standing, Table, TableError};

use rank::Ranking;

/// Up to so many nodes all host all.
pub const ALL_HOST_ALL: usize = 3;

/// How a node is seen by the one who computes the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It hosts, whether it answers just now or not.
    Here,
    /// It is about to leave, and hands over what it has.
    Draining,
    /// It is no longer a member, or has been silent for too long: nothing is expected of it.
    Gone,
}

impl Table {
    /// The table that follows when the members are so; the same table when nothing is to be done. A node that is not among the members is gone.
    pub fn next(&self, members: &BTreeMap<NodeName, Presence>) -> Self {
        let mut next = self.clone();
        let presence = |node: &NodeName| members.get(node).copied().unwrap_or(Presence::Gone);
        let here: BTreeSet<&NodeName> =
            members.iter().filter(|(_, presence)| **presence == Presence::Here).map(|(node, _)| node).collect();
        for place in next.shards.values_mut() {
            place.part_from(&presence);
        }
        next.share_out(&here);
        for place in next.shards.values_mut() {
            place.let_go();
        }
        next
    }

    /// Gives each shard the hosts that it should have.
    fn share_out(&mut self, here: &BTreeSet<&NodeName>) {
        let everywhere = here.len() <= ALL_HOST_ALL.max(self.replicas);
        for (shard, place) in &mut self.shards {
            if everywhere || *shard == ShardId::SYSTEM {
                here.iter().for_each(|node| place.take(node));
            }
        }
        if everywhere {
            return;
        }
        let spread = self.shards.keys().filter(|shard| **shard != ShardId::SYSTEM).count();
        let bound = (spread * self.replicas).div_ceil(here.len());
        let bound = bound + bound.div_ceil(20);
        let mut nodes: Vec<Share> =
            here.iter().map(|node| Share { node, ranking: Ranking::of(node), load: 0 }).collect();
        for (shard, place) in self.shards.iter_mut().filter(|(shard, _)| **shard != ShardId::SYSTEM) {
            place.become_hosted_by(&choose(*shard, place, self.replicas, bound, &mut nodes));
        }
    }
}

/// What a node has been given.
struct Share<'a> {
    node: &'a NodeName,
    ranking: Ranking,
    load: usize,
}

/// Chooses a shard's hosts: those moved by hand first, then by rank among the nodes that have room.
fn choose(shard: ShardId, place: &Place, replicas: usize, bound: usize, nodes: &mut [Share]) -> Vec<NodeName> {
    // By hand before room before rank.
    let order = |share: &Share| {
        let by_hand = place.by_hand.iter().any(|node| node == share.node);
        (by_hand, share.load < bound, share.ranking.rank(shard))
    };
    let replicas = replicas.min(nodes.len());
    let mut best: Vec<((bool, bool, u64), usize)> = Vec::with_capacity(replicas + 1);
    for (number, share) in nodes.iter().enumerate() {
        let order = order(share);
        let place = best.partition_point(|(better, _)| *better > order);
        if place < replicas {
            best.insert(place, (order, number));
            best.truncate(replicas);
        }
    }
    let mut chosen = Vec::with_capacity(replicas);
    for (_, number) in best {
        if let Some(share) = nodes.get_mut(number) {
            share.load += 1;
            chosen.push(share.node.clone());
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
