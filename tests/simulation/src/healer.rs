//! What every node does behind: gets bodies that it wants, makes checkpoints, gives space back, and forgets what all have.

use std::sync::Arc;
use std::time::Duration;

use paquebot_log::Log;
use paquebot_store::{Budget, Fetched};
use paquebot_types::Sequence;
use tokio::time::sleep;

use crate::SHARDS;
use crate::cluster::Cluster;
use crate::node::Running;

/// Until the node dies.
pub async fn run(cluster: Arc<Cluster>, node: usize, running: Arc<Running>) {
    let life = running.life.clone();
    let work = async {
        loop {
            let (pause, what) = {
                let mut random = cluster.nodes[node].random.lock();
                (random.time(Duration::from_millis(1500)), random.below(10))
            };
            sleep(pause).await;
            life.step("work behind").await;
            match what {
                0..5 => heal(&cluster, node, &running).await,
                5 | 6 => {
                    running.store.checkpoint().expect("the disk is well");
                    let durable = running.store.durable();
                    life.step("a checkpoint").await;
                    cluster.nodes[node].durable.lock().extend(durable);
                }
                7 => {
                    running
                        .store
                        .reclaim(&Budget { copy_bytes: u64::MAX, dead_percent: 20 })
                        .expect("the disk is well");
                }
                _ => trim(&cluster, &running).await,
            }
        }
    };
    tokio::select! {
        biased;
        () = life.death() => {}
        () = work => {}
    }
}

/// Gets the bodies that are wanted, as far as others have them.
pub async fn heal(cluster: &Arc<Cluster>, node: usize, running: &Running) {
    let Ok(wanted) = running.store.read().and_then(|txn| txn.wanted(None, 16)) else { return };
    for wanted in wanted {
        let Some(bytes) = cluster.network.fetch(node, wanted).await else { continue };
        running.life.step("a body has come").await;
        running.store.place(&[(wanted, Fetched::Bytes(&bytes))]).expect("the disk is well");
        running.life.step("a body is placed").await;
    }
}

/// Below what no node can lose.
async fn trim(cluster: &Cluster, running: &Running) {
    for shard in SHARDS {
        let durable = |node: &crate::node::Node| node.durable.lock().get(&shard).copied().unwrap_or(Sequence::ZERO);
        let least = cluster.nodes.iter().map(durable).min().unwrap_or(Sequence::ZERO);
        // It is tried again.
        let _ = running.log.trim(shard, Sequence(least.0.saturating_sub(2))).await;
    }
}
