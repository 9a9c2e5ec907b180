//! One node: its disk, and what runs on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use paquebot_log::Log;
use paquebot_log_etcd::simulated::{Random, SimulatedClient, SimulatedEtcd};
use paquebot_log_etcd::{ClusterId, EtcdLog};
use paquebot_replica::{Applying, Replica};
use paquebot_store::recorded::{Disk, Limits, RecordedFs, data_dir};
use paquebot_store::{Store, Wanted};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::SHARDS;
use crate::life::Life;
use crate::network::{Network, Peers};

/// A node that has started.
pub struct Running {
    pub life: Arc<Life>,
    pub store: Arc<Store>,
    pub log: Arc<EtcdLog>,
    pub replica: Replica,
    pub etcd: Arc<SimulatedClient>,
}

impl Running {
    /// What a peer asks for, if it is here and whole.
    pub fn body(&self, wanted: &Wanted) -> Option<Bytes> {
        let location = self.store.read().ok()?.location(wanted.shard, wanted.account, wanted.blob).ok()??;
        let bytes = self.store.read_body_verified(location).ok()?;
        (*blake3::hash(&bytes).as_bytes() == wanted.hash.0).then_some(bytes)
    }
}

/// A node through all its lives.
pub struct Node {
    pub number: usize,
    pub random: Mutex<Random>,
    disk: Mutex<Disk>,
    /// What it has told the others that no crash takes back.
    pub durable: Mutex<HashMap<ShardId, Sequence>>,
    lives: Mutex<u64>,
}

impl Node {
    pub fn new(number: usize, seed: u64) -> Self {
        Self {
            number,
            random: Mutex::new(Random::new(seed)),
            disk: Mutex::default(),
            durable: Mutex::default(),
            lives: Mutex::new(0),
        }
    }

    /// Starts, as soon as etcd lets it. `None` if it dies before.
    pub async fn start(&self, etcd: &SimulatedEtcd, network: &Arc<Network>) -> (Arc<Life>, Option<Arc<Running>>) {
        let fs = RecordedFs::from_disk(self.disk.lock().clone());
        let name = {
            let mut lives = self.lives.lock();
            *lives += 1;
            format!("node {} in life {lives}", self.number)
        };
        let life = Life::begin(name, fs.clone(), etcd.clone());
        if self.random.lock().chance(10) {
            life.die_after(self.random.lock().below(40));
        }
        let running = tokio::select! {
            biased;
            () = life.death() => None,
            running = self.begin(&life, etcd, network) => Some(Arc::new(running)),
        };
        (life, running)
    }

    async fn begin(&self, life: &Arc<Life>, etcd: &SimulatedEtcd, network: &Arc<Network>) -> Running {
        let fs = Arc::new(life.fs.clone());
        let (store, tail) = Store::open(fs, &data_dir(), store_options()).expect("the disk is well");
        let (store, client) = (Arc::new(store), Arc::new(etcd.client(life.gate())));
        let peers = Arc::new(Peers { node: self.number, network: network.clone(), life: life.clone() });
        let log = loop {
            let opened =
                EtcdLog::open_simulated(log_options(), client.clone(), store.clone(), tail.clone(), peers.clone());
            match opened.await {
                Ok(log) => break Arc::new(log),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        };
        drop(tail);
        let random = Random::new(self.random.lock().draw());
        let options = paquebot_replica::Options {
            applying: Applying::Task,
            stamps: crate::life::stamps(random),
            ..paquebot_replica::Options::default()
        };
        let (name, as_log) = (format!("n{}", self.number), log.clone() as Arc<dyn Log>);
        let replica =
            Replica::start(store.clone(), as_log, &name, &SHARDS, Arc::new(|_, _, _| {}), options).await.unwrap();
        Running { life: life.clone(), store, log, replica, etcd: client }
    }

    /// What a crash leaves on the disk, in one of the ways in which it may.
    pub fn crash(&self, life: &Life) {
        let range = life.crash_range();
        let (at, seed, way) = {
            let mut random = self.random.lock();
            (range.start + random.below((range.end - range.start) as u64) as usize, random.draw(), random.below(4))
        };
        let mut states = Vec::new();
        let limits = Limits { each: 0, random: 2, seed };
        life.fs.crash_states(at..at + 1, &limits, &mut |state| states.push(state.disk));
        let which = way as usize % states.len().max(1);
        *self.disk.lock() = states.into_iter().nth(which).unwrap_or_else(|| life.fs.disk());
    }
}

pub fn log_options() -> paquebot_log_etcd::Options {
    paquebot_log_etcd::Options {
        attempt: Duration::from_secs(1),
        deadline: Duration::from_secs(6),
        patience: Duration::from_secs(2),
        look: Duration::from_secs(5),
        history: Some(Duration::from_secs(10)),
        ..paquebot_log_etcd::Options::new(Vec::new(), ClusterId([7; 16]))
    }
}

/// Small, and with checkpoints only where the seed says so.
fn store_options() -> paquebot_store::Options {
    paquebot_store::Options {
        cache_bytes: 1 << 20,
        pack_bytes: 24 << 10,
        reserve_step_bytes: 8 << 10,
        index_headroom_bytes: 0,
        ballast_bytes: 0,
        checkpoint_bytes: u64::MAX,
        checkpoint_interval: Duration::from_secs(1 << 30),
        open_packs: 2,
        verify_index: false,
    }
}
