//! Follows a shard's log into the store.
//!
//! A change is proposed, gathered with its neighbours into a record, appended to the log, applied to the store by this node as by every
//! other, and then its outcome is known. The crate knows no engine, no mailbox semantics and no protocol.

mod applier;
mod proposer;

use std::collections::HashMap;
use std::sync::Arc;

use paquebot_log::{Body, Fed, Log, LogError};
use paquebot_model::{Op, Outcome};
use paquebot_store::{IndexError, Store};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

pub use applier::{FollowError, Watcher};
pub use proposer::ProposeError;

use applier::Applier;
use proposer::{Proposer, Surroundings, Waiting};

/// Batches of records between the log and the applying thread, at most.
const FEED: usize = 256;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("cannot start the thread that applies records")]
    Thread(#[source] std::io::Error),
}

/// This node's copy of its shards.
pub struct Replica {
    store: Arc<Store>,
    log: Arc<dyn Log>,
    shards: HashMap<ShardId, Shard>,
    failed: watch::Receiver<Option<String>>,
    end: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Shard {
    proposer: Proposer,
    applied: watch::Receiver<Sequence>,
}

impl Replica {
    /// Follows these shards from where the store is; `watcher` hears of every record that is applied from now on.
    pub async fn start(
        store: Arc<Store>,
        log: Arc<dyn Log>,
        node: &str,
        shards: &[ShardId],
        watcher: Watcher,
    ) -> Result<Self, StartError> {
        let (feed, fed) = mpsc::channel::<Fed>(FEED);
        let waiting = Arc::new(Waiting::new());
        let (failed_sender, failed) = watch::channel(None);
        let mut hosted = HashMap::new();
        let mut senders = Vec::new();
        let txn = store.read()?;
        for shard in shards {
            let (sender, applied) = watch::channel(txn.applied(*shard)?.sequence);
            let surroundings = Surroundings {
                shard: *shard,
                node: node.into(),
                log: log.clone(),
                waiting: waiting.clone(),
                applied: applied.clone(),
            };
            hosted.insert(*shard, Shard { proposer: Proposer::start(surroundings), applied });
            senders.push((*shard, sender));
        }
        let (ended, end) = oneshot::channel();
        let applier = Applier {
            store: store.clone(),
            log: Arc::downgrade(&log),
            waiting,
            watcher,
            applied: senders,
            failed: failed_sender,
            ended,
        };
        let thread = std::thread::Builder::new().name("apply".into());
        thread.spawn(move || applier.run(fed)).map_err(StartError::Thread)?;
        for shard in shards {
            log.follow(*shard, txn.applied(*shard)?.sequence, feed.clone()).await?;
        }
        drop(txn);
        let replica = Self { store, log, shards: hosted, failed, end: Mutex::new(Some(end)) };
        for shard in shards {
            // What the log holds beyond the store is applied before anybody reads.
            let _ = replica.reach_last(*shard).await;
        }
        Ok(replica)
    }

    /// Proposes ops that stay together; gives their outcomes once they are durable and applied here. `bodies` are those that the ops name.
    pub async fn propose(&self, shard: ShardId, ops: Vec<Op>, bodies: Vec<Body>) -> Result<Vec<Outcome>, ProposeError> {
        if let Some(why) = &*self.failed.borrow() {
            return Err(ProposeError::Unavailable(why.clone()));
        }
        match self.shards.get(&shard) {
            Some(shard) => shard.proposer.propose(ops, bodies).await,
            None => Err(ProposeError::Unavailable(format!("shard {shard} is not on this node"))),
        }
    }

    /// Waits until this node has applied whatever the log's last record was when this was called: what any node has acknowledged.
    pub async fn reach_last(&self, shard: ShardId) -> Result<(), LogError> {
        let Some(found) = self.shards.get(&shard) else { return Ok(()) };
        let last = self.log.last(shard).await?;
        let mut applied = found.applied.clone();
        let mut failed = self.failed.clone();
        tokio::select! {
            reached = applied.wait_for(|applied| *applied >= last) => {
                reached.map(drop).map_err(|_| LogError::Unavailable("the server is stopping".into()))
            }
            why = failed.wait_for(Option::is_some) => {
                let why = why.ok().and_then(|why| why.clone()).unwrap_or_default();
                Err(LogError::Unavailable(why))
            }
        }
    }

    /// Resolves once this replica has been dropped and its thread has applied what it was fed and let go of the store. For the first caller; for
    /// others at once.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let end = self.end.lock().take();
        async move {
            if let Some(end) = end {
                let _ = end.await;
            }
        }
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Why this node does not apply records any more; `None` while it does.
    pub fn failure(&self) -> Option<String> {
        self.failed.borrow().clone()
    }
}
