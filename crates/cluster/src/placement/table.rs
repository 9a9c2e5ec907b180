//! The table, what may be done to it, and its form in etcd.

use std::collections::BTreeMap;

use paquebot_peer::NodeName;
use paquebot_types::ShardId;
use serde::{Deserialize, Serialize};

use super::Presence;

/// The form of the table that this build reads and writes.
const FORM: u32 = 1;

/// Which node hosts which shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// On how many nodes a shard is.
    pub replicas: usize,
    pub shards: BTreeMap<ShardId, Place>,
}

/// A shard's hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub hosts: BTreeMap<NodeName, Standing>,
    /// Where it was moved by hand: these go before the others for as long as they are members.
    pub by_hand: Vec<NodeName>,
}

/// How far a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It copies the shard from a host, and follows the log from there.
    #[serde(rename = "j")]
    Joining,
    /// It follows the log.
    #[serde(rename = "r")]
    Ready,
    /// It follows the log until the others are ready.
    #[serde(rename = "l")]
    Leaving,
}

/// The table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the placement in etcd is of form {0}, and this program reads form {FORM}: a newer one is needed")]
    Newer(u32),
    #[error("the placement in etcd (key `table`) cannot be read: {0}")]
    Damaged(String),
}

impl Table {
    /// A new cluster's: its first node hosts the system shard and `shards` shards for accounts, all empty or all its own.
    pub fn first(node: &NodeName, shards: u16, replicas: usize) -> Self {
        let place = Place { hosts: BTreeMap::from([(node.clone(), Standing::Ready)]), by_hand: Vec::new() };
        let shards = (0..=shards).map(|shard| (ShardId(shard), place.clone())).collect();
        Self { replicas: replicas.max(1), shards }
    }

    /// What `node` has to do with each of its shards.
    pub fn of<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = (ShardId, Standing)> + 'a {
        self.shards.iter().filter_map(|(shard, place)| Some((*shard, *place.hosts.get(node)?)))
    }

    /// The nodes that have the shard up to date, or nearly.
    pub fn hosts(&self, shard: ShardId) -> impl Iterator<Item = &NodeName> {
        let hosts = self.shards.get(&shard).into_iter().flat_map(|place| &place.hosts);
        hosts.filter(|(_, standing)| **standing != Standing::Joining).map(|(node, _)| node)
    }

    /// All nodes that the shard's log is kept for.
    pub fn followers(&self, shard: ShardId) -> impl Iterator<Item = &NodeName> {
        self.shards.get(&shard).into_iter().flat_map(|place| place.hosts.keys())
    }

    /// `node` has copied the shard and follows its log.
    pub fn set_ready(&mut self, shard: ShardId, node: &NodeName) {
        self.set(shard, node, Standing::Joining, Standing::Ready);
    }

    /// `node` has to copy the shard anew. Of a shard with no other host this is not done.
    pub fn set_joining(&mut self, shard: ShardId, node: &NodeName) {
        if self.hosts(shard).any(|host| host != node) {
            self.set(shard, node, Standing::Ready, Standing::Joining);
        }
    }

    fn set(&mut self, shard: ShardId, node: &NodeName, from: Standing, to: Standing) {
        let standing = self.shards.get_mut(&shard).and_then(|place| place.hosts.get_mut(node));
        if let Some(standing) = standing.filter(|standing| **standing == from) {
            *standing = to;
        }
    }

    /// Whether nothing is expected of `node` any more: then it may go.
    pub fn is_free_of(&self, node: &NodeName) -> bool {
        self.of(node).next().is_none()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut nodes: Vec<&NodeName> =
            self.shards.values().flat_map(|place| place.hosts.keys().chain(&place.by_hand)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        // Names stand once: a large cluster's table must fit into one value of etcd.
        let number = |node: &NodeName| nodes.binary_search(&node).unwrap_or_default();
        let shards = self.shards.iter().map(|(shard, place)| {
            let hosts = place.hosts.iter().map(|(node, standing)| (number(node), *standing)).collect();
            (shard.0, hosts, place.by_hand.iter().map(number).collect())
        });
        let written = Written {
            form: FORM,
            replicas: self.replicas,
            nodes: nodes.iter().map(|node| (*node).clone()).collect(),
            shards: shards.collect(),
        };
        serde_json::to_vec(&written).unwrap_or_default()
    }

    pub fn decode(value: &[u8]) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        struct Form {
            form: u32,
        }
        let damaged = |error: serde_json::Error| TableError::Damaged(error.to_string());
        let Form { form } = serde_json::from_slice(value).map_err(damaged)?;
        if form != FORM {
            return Err(TableError::Newer(form));
        }
        let written: Written = serde_json::from_slice(value).map_err(damaged)?;
        let node = |number: usize| {
            let node = written.nodes.get(number).cloned();
            node.ok_or_else(|| TableError::Damaged(format!("there is no node of number {number}")))
        };
        let mut shards = BTreeMap::new();
        for (shard, hosts, by_hand) in &written.shards {
            let hosts = hosts.iter().map(|(number, standing)| Ok((node(*number)?, *standing)));
            let by_hand = by_hand.iter().map(|number| node(*number));
            let place = Place { hosts: hosts.collect::<Result<_, _>>()?, by_hand: by_hand.collect::<Result<_, _>>()? };
            shards.insert(ShardId(*shard), place);
        }
        Ok(Self { replicas: written.replicas.max(1), shards })
    }
}

impl Place {
    /// Changes what the nodes' presence demands, without regard to who takes over.
    pub(super) fn part_from(&mut self, presence: &impl Fn(&NodeName) -> Presence) {
        self.by_hand.retain(|node| presence(node) == Presence::Here);
        // Whoever is the last to have the shard stays in the table: when it comes back the shard is there again.
        let others = |hosts: &BTreeMap<NodeName, Standing>| {
            hosts.iter().any(|(node, standing)| *standing != Standing::Joining && presence(node) != Presence::Gone)
        };
        let is_kept = others(&self.hosts);
        self.hosts.retain(|node, standing| match (presence(node), *standing) {
            (Presence::Gone, Standing::Joining) | (Presence::Draining, Standing::Joining) => false,
            (Presence::Gone, _) => !is_kept,
            _ => true,
        });
        for (node, standing) in &mut self.hosts {
            if presence(node) == Presence::Draining {
                *standing = Standing::Leaving;
            }
        }
    }

    /// A node hosts it: as before, again, or anew.
    pub(super) fn take(&mut self, node: &NodeName) {
        match self.hosts.get_mut(node) {
            Some(standing @ Standing::Leaving) => *standing = Standing::Ready,
            Some(_) => {}
            None => {
                self.hosts.insert(node.clone(), Standing::Joining);
            }
        }
    }

    pub(super) fn become_hosted_by(&mut self, chosen: &[NodeName]) {
        self.hosts.retain(|node, standing| *standing != Standing::Joining || chosen.contains(node));
        for (node, standing) in &mut self.hosts {
            if !chosen.contains(node) {
                *standing = Standing::Leaving;
            }
        }
        chosen.iter().for_each(|node| self.take(node));
    }

    /// Those who leave go when nobody is joining any more, and somebody stays.
    pub(super) fn let_go(&mut self) {
        let is_settled = self.hosts.values().all(|standing| *standing != Standing::Joining)
            && self.hosts.values().any(|standing| *standing == Standing::Ready);
        if is_settled {
            self.hosts.retain(|_, standing| *standing != Standing::Leaving);
        }
    }
}

/// The table as it stands in etcd.
#[derive(Serialize, Deserialize)]
struct Written {
    form: u32,
    replicas: usize,
    nodes: Vec<NodeName>,
    shards: Vec<Row>,
}

/// A shard, its hosts, and where it was moved by hand: nodes by their places in [`Written::nodes`].
type Row = (u16, Vec<(usize, Standing)>, Vec<usize>);
