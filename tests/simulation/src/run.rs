//! One run, from its seed.

use std::time::Duration;

use paquebot_log_etcd::simulated::Random;
use paquebot_model::Op;
use paquebot_types::MailboxName;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::view::ACCOUNT;
use crate::{NODES, SHARDS, faults, settled, workload};

/// How long clients ask and faults happen, in simulated time.
const LENGTH: Duration = Duration::from_secs(20);
const CLIENTS: usize = 6;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is wrong; nothing should be.
    pub breaches: Vec<String>,
    /// A hash of all that happened, and when.
    pub trace: u64,
    pub acknowledged: usize,
    pub unknown: usize,
    pub failed: usize,
}

/// Plays the run that the seed decides.
pub fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(play(seed))
}

async fn play(seed: u64) -> Report {
    let mut random = Random::new(seed);
    let cluster = Cluster::make(random.draw()).await;
    let mut forever = JoinSet::new();
    for node in 0..NODES {
        forever.spawn(cluster.clone().keep_running(node));
    }
    make_accounts(&cluster).await;
    let until = Instant::now() + LENGTH;
    let mut work = JoinSet::new();
    work.spawn(faults::run(cluster.clone(), random.draw(), until));
    for number in 0..CLIENTS {
        work.spawn(workload::client(cluster.clone(), number, random.draw(), until));
    }
    work.join_all().await;
    let found = settled::check(&cluster).await;
    let history = std::mem::take(&mut *cluster.history.lock());
    let mut breaches = history.breaches;
    breaches.extend(found);
    breaches.truncate(20);
    let (acknowledged, unknown, failed) = (history.acknowledged, history.unknown, history.failed);
    let trace = cluster.etcd.trace();
    for node in 0..NODES {
        cluster.network.set_running(node, None);
    }
    Report { breaches, trace, acknowledged, unknown, failed }
}

/// One account in each shard, with a second mailbox.
async fn make_accounts(cluster: &Cluster) {
    for shard in SHARDS {
        loop {
            sleep(Duration::from_millis(100)).await;
            let Some(running) = cluster.network.running(0) else { continue };
            let mailboxes = vec![(MailboxName::new("Other").unwrap(), None)];
            let op = Op::AddAccount { account: ACCOUNT, name: "anna".into(), mailboxes };
            if workload::propose(&running, shard, vec![op], Vec::new()).await.is_ok() {
                break;
            }
        }
    }
}
