//! What must hold when everything is well again and time has passed.

use std::sync::Arc;
use std::time::Duration;

use paquebot_store::ReadTxn;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::node::Running;
use crate::view::View;
use crate::{NODES, SHARDS, healer};

/// Until then every node has started, follows, and has all bodies.
const SETTLED: Duration = Duration::from_secs(120);

/// Waits until the cluster is at rest and checks it; gives what is wrong.
pub async fn check(cluster: &Arc<Cluster>) -> Vec<String> {
    let until = Instant::now() + SETTLED;
    let nodes = loop {
        match rest(cluster).await {
            Ok(nodes) => break nodes,
            Err(why) if Instant::now() >= until => return vec![why],
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    };
    let mut breaches = Vec::new();
    for shard in SHARDS {
        let known = cluster.history.lock().known();
        let read: Vec<ReadTxn> = nodes.iter().map(|node| node.store.read().unwrap()).collect();
        let states: Vec<_> =
            read.iter().map(|txn| (txn.applied(shard).unwrap(), txn.state_hash(shard).unwrap())).collect();
        if states.iter().any(|state| *state != states[0]) {
            breaches.push(format!("shard {shard}: the replicas differ: {states:?}"));
        }
        for (number, (node, txn)) in nodes.iter().zip(&read).enumerate() {
            let view = View::of(txn, shard);
            cluster.history.lock().saw(number, shard, &view, &known);
            let missing = view.bodies.iter().filter(|body| node.body(body).is_none());
            breaches.extend(missing.map(|body| format!("node {number} does not have {body:?}")));
        }
    }
    for (number, node) in nodes.iter().enumerate() {
        let report = node.store.check(&mut ()).unwrap();
        breaches.extend(report.problems.iter().map(|problem| format!("node {number}: {problem:?}")));
    }
    breaches
}

async fn catch_up(cluster: &Arc<Cluster>, number: usize, node: &Running) -> Result<(), String> {
    if let Some(why) = node.replica.failure() {
        return Err(format!("node {number}: {why}"));
    }
    for shard in SHARDS {
        let reached = node.replica.reach_last(shard).await;
        reached.map_err(|error| format!("node {number} does not follow shard {shard}: {error}"))?;
    }
    healer::heal(cluster, number, node).await;
    Ok(())
}

/// All nodes, if they run, have applied everything and want no body; else what is missing.
async fn rest(cluster: &Arc<Cluster>) -> Result<Vec<Arc<Running>>, String> {
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let node = cluster.network.running(number).ok_or_else(|| format!("node {number} does not run"))?;
        tokio::select! {
            biased;
            () = node.life.death() => return Err(format!("node {number} died")),
            caught_up = catch_up(cluster, number, &node) => caught_up?,
        }
        nodes.push(node);
    }
    for (number, node) in nodes.iter().enumerate() {
        let wanted = node.store.read().unwrap().wanted(None, 1).unwrap();
        if let Some(body) = wanted.first() {
            return Err(format!("node {number} wants {body:?}"));
        }
    }
    Ok(nodes)
}
