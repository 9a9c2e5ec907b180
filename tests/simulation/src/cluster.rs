//! All of it together.

use std::sync::Arc;
use std::time::Duration;

use paquebot_log_etcd::EtcdLog;
use paquebot_log_etcd::simulated::{Random, SimulatedEtcd};
use paquebot_types::ShardId;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::NODES;
use crate::healer;
use crate::history::History;
use crate::network::Network;
use crate::node::{Node, Running, log_options};
use crate::view::View;

pub struct Cluster {
    pub etcd: SimulatedEtcd,
    pub network: Arc<Network>,
    pub nodes: Vec<Node>,
    pub history: Mutex<History>,
    pub random: Mutex<Random>,
}

impl Cluster {
    pub async fn make(seed: u64) -> Arc<Self> {
        let mut random = Random::new(seed);
        let etcd = SimulatedEtcd::new(random.draw());
        let network = Network::new(random.draw());
        let nodes = (0..NODES).map(|number| Node::new(number, random.draw())).collect();
        let alive = Arc::new(|_| {
            let lives: paquebot_log::BoxFuture<'static, ()> = Box::pin(std::future::ready(()));
            lives
        });
        EtcdLog::make_simulated(log_options(), Arc::new(etcd.client(alive)), &[]).await.unwrap();
        Arc::new(Self { etcd, network, nodes, history: Mutex::default(), random: Mutex::new(random) })
    }

    /// Lets a node live, and start again after each death, for ever.
    pub async fn keep_running(self: Arc<Self>, node: usize) {
        loop {
            let (life, running) = self.nodes[node].start(&self.etcd, &self.network).await;
            if let Some(running) = running {
                self.network.set_running(node, Some(running.clone()));
                let behind = tokio::spawn(healer::run(self.clone(), node, running));
                life.death().await;
                self.network.set_running(node, None);
                behind.abort();
            }
            self.nodes[node].crash(&life);
            let down = self.random.lock().time(Duration::from_secs(4));
            sleep(down).await;
        }
    }

    /// A client reads what a node has, once it has all that was acknowledged.
    pub async fn look(&self, node: usize, running: &Running, shard: ShardId) {
        let known = self.history.lock().known();
        let reached = async {
            let reached = running.replica.reach_last(shard).await.is_ok();
            running.life.step("an answer to a reader").await;
            reached
        };
        let reached = tokio::select! {
            biased;
            () = running.life.death() => return,
            reached = reached => reached,
        };
        if reached && let Ok(txn) = running.store.read() {
            self.history.lock().saw(node, shard, &View::of(&txn, shard), &known);
        }
    }
}
