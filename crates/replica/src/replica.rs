//! This node's copies of the shards that it hosts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use paquebot_log::{Body, Log, LogError};
use paquebot_model::{Op, Outcome};
use paquebot_store::{IndexError, Store};
use paquebot_types::{Sequence, ShardId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::FEED;
use crate::applier::{Applier, Command, Commands, Hosted};
use crate::feeds::Feeds;
use crate::hosting::Hosting;
use crate::options::{Applying, Options, Watcher};
use crate::proposer::{ProposeError, Proposer, Surroundings};
use crate::waiting::Waiting;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cannot start the thread that applies records")]
    Thread(#[source] std::io::Error),
}

/// Why a shard is not hosted, or not let go of.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("shard {0} is about to be hosted, or let go of, already")]
    Busy(ShardId),
    #[error("the server is stopping")]
    Stopping,
}

/// This node's copies of the shards that it hosts.
pub struct Replica {
    store: Arc<Store>,
    log: Arc<dyn Log>,
    node: Arc<str>,
    options: Options,
    commands: mpsc::UnboundedSender<Command>,
    shards: RwLock<HashMap<ShardId, Arc<Shard>>>,
    /// Shards that are about to be hosted or let go of.
    changing: Mutex<HashSet<ShardId>>,
    end: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Shard {
    proposer: Proposer,
    waiting: Arc<Waiting>,
    applied: watch::Receiver<Sequence>,
    failure: watch::Receiver<Option<Arc<str>>>,
    gone: Arc<watch::Sender<bool>>,
}

impl Replica {
    /// Follows these shards from where the store is; `watcher` hears of every record that is applied from now on.
    ///
    /// What the log holds beyond the store is applied when this returns, unless the log does not answer in time. A shard that the log cannot be
    /// followed for is a trouble of its own, and the replica starts without it.
    pub async fn start(
        store: Arc<Store>,
        log: Arc<dyn Log>,
        node: &str,
        shards: &[ShardId],
        watcher: Watcher,
        options: Options,
    ) -> Result<Self, StartError> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let applier = Applier {
            store: store.clone(),
            log: Arc::downgrade(&log),
            records_in_store: log.records_in_store(),
            watcher,
            on_mark: options.on_mark.clone(),
            troubles: options.troubles.clone(),
            commands: Commands { receiver, are_over: false, put_off: Vec::new() },
            hosted: HashMap::new(),
            feeds: Feeds::default(),
            ended,
        };
        match options.applying {
            Applying::Task => drop(tokio::spawn(applier.run())),
            Applying::Thread => {
                // Within the runtime, whose clock recovery waits by.
                let runtime = tokio::runtime::Handle::current();
                let thread = std::thread::Builder::new().name("apply".into());
                thread.spawn(move || runtime.block_on(applier.run())).map_err(StartError::Thread)?;
            }
        }
        let replica = Self {
            store,
            log,
            node: node.into(),
            options,
            commands,
            shards: RwLock::default(),
            changing: Mutex::default(),
            end: Mutex::new(Some(end)),
        };
        let hosted = join_all(shards.iter().map(|shard| replica.host_or_say_why(*shard))).await;
        hosted.into_iter().collect::<Result<(), IndexError>>()?;
        Ok(replica)
    }

    async fn host_or_say_why(&self, shard: ShardId) -> Result<(), IndexError> {
        match self.host(shard).await {
            Ok(()) | Err(HostError::Busy(_) | HostError::Stopping) => Ok(()),
            Err(HostError::Index(error)) => Err(error),
            Err(HostError::Log(error)) => {
                let after = self.store.read()?.applied(shard)?.sequence;
                let (sender, feed) = mpsc::channel(1);
                // It is hosted, and its feed says why it cannot go on: what the store has is served.
                let _ = sender.try_send(paquebot_log::Fed::Failed(shard, error));
                let mut failure = self.add(shard, after, feed);
                let _ = failure.wait_for(Option::is_some).await;
                Ok(())
            }
        }
    }

    /// Hosts a shard from now on, from where the store is; at once if it is hosted already.
    ///
    /// What the log holds beyond the store is applied when this returns, unless the log does not answer in time.
    pub async fn host(&self, shard: ShardId) -> Result<(), HostError> {
        let _change = self.change(shard)?;
        if self.shards.read().contains_key(&shard) {
            return Ok(());
        }
        let after = self.store.read()?.applied(shard)?.sequence;
        let (sender, feed) = mpsc::channel(FEED);
        self.log.follow(shard, after, sender).await?;
        self.add(shard, after, feed);
        if let Err(error) = self.reach_last(shard).await {
            tracing::warn!(%shard, %error, "the shard may be behind the log");
        }
        Ok(())
    }

    fn add(
        &self,
        shard: ShardId,
        after: Sequence,
        feed: mpsc::Receiver<paquebot_log::Fed>,
    ) -> watch::Receiver<Option<Arc<str>>> {
        let (told, applied) = watch::channel(after);
        let (failure_sender, failure) = watch::channel(None);
        let (waiting, gone) = (Arc::new(Waiting::default()), Arc::new(watch::Sender::new(false)));
        let surroundings = Surroundings {
            shard,
            node: self.node.clone(),
            log: self.log.clone(),
            waiting: waiting.clone(),
            applied: applied.clone(),
            record_version: self.options.record_version.clone(),
            stamps: self.options.stamps.clone(),
            // What one machine could not write to its own disk does not show up later.
            unknown_wait: if self.log.records_in_store() {
                std::time::Duration::ZERO
            } else {
                self.options.unknown_wait
            },
        };
        let hosted = Hosted { told, failure: failure_sender, gone: gone.clone(), waiting: waiting.clone() };
        let proposer = Proposer::start(surroundings);
        let found = Shard { proposer, waiting, applied, failure: failure.clone(), gone };
        self.shards.write().insert(shard, Arc::new(found));
        // A replica whose applier has died says so by the shard's failing.
        let _ = self.commands.send(Command::Host(shard, hosted, feed));
        failure
    }

    /// Lets go of a shard; at once if it is not hosted. Its rows stay in the store.
    ///
    /// Whoever proposes from now on is refused. Changes that are on their way come to their outcomes first, or, if they take too long, their
    /// proposers hear that nobody knows. When this returns nothing of the shard is applied any more.
    pub async fn unhost(&self, shard: ShardId) -> Result<(), HostError> {
        let _change = self.change(shard)?;
        let Some(found) = self.shards.write().remove(&shard) else { return Ok(()) };
        found.gone.send_replace(true);
        found.waiting.refuse(not_here(shard));
        // The applier closes what is left.
        let _ = timeout(self.options.unhost_wait, found.waiting.idle()).await;
        let (reply, done) = oneshot::channel();
        self.commands.send(Command::Unhost(shard, reply)).map_err(|_| HostError::Stopping)?;
        done.await.map_err(|_| HostError::Stopping)
    }

    fn change(&self, shard: ShardId) -> Result<Changing<'_>, HostError> {
        match self.changing.lock().insert(shard) {
            true => Ok(Changing { of: &self.changing, shard }),
            false => Err(HostError::Busy(shard)),
        }
    }

    /// The hosted shards, ascending, also those that are not followed any more.
    pub fn hosted(&self) -> Vec<ShardId> {
        let mut shards: Vec<ShardId> = self.shards.read().keys().copied().collect();
        shards.sort_unstable();
        shards
    }

    /// The time for which the shard is hosted; `None` if it is not, or must not be read.
    pub fn hosting(&self, shard: ShardId) -> Option<Hosting> {
        let found = self.shard(shard)?;
        let hosting = Hosting { gone: found.gone.subscribe() };
        Some(hosting).filter(|hosting| !hosting.is_over())
    }

    /// Proposes ops that stay together; gives their outcomes once they are durable and applied here. `bodies` are those that the ops name.
    pub async fn propose(&self, shard: ShardId, ops: Vec<Op>, bodies: Vec<Body>) -> Result<Vec<Outcome>, ProposeError> {
        let found = self.shard(shard).ok_or_else(|| not_here(shard))?;
        match found.waiting.refusal() {
            Some(refusal) => Err(refusal),
            None => found.proposer.propose(ops, bodies).await,
        }
    }

    /// Waits until this node has applied whatever the log's last record was when this was called: what any node has acknowledged.
    pub async fn reach_last(&self, shard: ShardId) -> Result<(), LogError> {
        let unavailable = |why: &str| LogError::Unavailable(why.into());
        let found = self.shard(shard).ok_or_else(|| unavailable(&format!("shard {shard} is not on this node")))?;
        let (mut applied, mut failure) = (found.applied.clone(), found.failure.clone());
        drop(found);
        let last = self.log.last(shard).await?;
        tokio::select! {
            biased;
            reached = applied.wait_for(|applied| *applied >= last) => {
                reached.map(drop).map_err(|_| unavailable("this node has let go of the shard"))
            }
            failed = failure.wait_for(Option::is_some) => {
                let why = failed.ok().and_then(|why| why.clone());
                Err(unavailable(why.as_deref().unwrap_or("this node has let go of the shard")))
            }
        }
    }

    /// How far this node has applied a shard; `None` if it does not host it.
    pub fn applied(&self, shard: ShardId) -> Option<Sequence> {
        self.shard(shard).map(|shard| *shard.applied.borrow())
    }

    /// Resolves once this replica has been dropped, and what applies records has let go of the store. For the first caller; for others at once.
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

    /// Why this node does not follow a shard that it hosts; `None` while it does.
    pub fn failure_of(&self, shard: ShardId) -> Option<Arc<str>> {
        self.shard(shard)?.failure()
    }

    /// Why this node does not follow some shard that it hosts; `None` while it follows all.
    pub fn failure(&self) -> Option<String> {
        let shards = self.shards.read();
        let failed = shards.iter().filter_map(|(shard, found)| Some((*shard, found.failure()?)));
        failed.min_by_key(|(shard, _)| *shard).map(|(_, why)| why.to_string())
    }

    fn shard(&self, shard: ShardId) -> Option<Arc<Shard>> {
        self.shards.read().get(&shard).cloned()
    }
}

impl Shard {
    fn failure(&self) -> Option<Arc<str>> {
        match self.failure.has_changed() {
            Ok(_) => self.failure.borrow().clone(),
            // While it is hosted the applier has the other end.
            Err(_) => Some("records are not applied any more; the log tells why".into()),
        }
    }
}

fn not_here(shard: ShardId) -> ProposeError {
    ProposeError::Unavailable(format!("shard {shard} is not on this node"))
}

/// A shard that is about to be hosted or let go of, by one caller.
struct Changing<'a> {
    of: &'a Mutex<HashSet<ShardId>>,
    shard: ShardId,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.of.lock().remove(&self.shard);
    }
}
