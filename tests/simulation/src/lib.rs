//! A cluster in one thread: nodes with their stores, the etcd engine, the replica, a network between the nodes, and a simulated etcd.
//!
//! [`run`] plays a workload while faults happen, and checks what clients were told against what the nodes have in the end. Time is simulated and
//! all chance comes from the seed, so a seed gives the same run again, whatever it found.
//!
//! What is real here: model, store (on the recorded file system of its own tests, which shows what a crash may leave), log engine, replica. What is
//! simulated: etcd, the disk, the network, the clock.
#![allow(clippy::unwrap_used)]

mod cluster;
mod faults;
mod healer;
mod history;
mod life;
mod network;
mod node;
mod run;
mod settled;
mod view;
mod workload;

pub use run::{Report, run};

/// Shards, all of them on every node.
pub(crate) const SHARDS: [paquebot_types::ShardId; 2] = [paquebot_types::ShardId(1), paquebot_types::ShardId(2)];
pub(crate) const NODES: usize = 3;
