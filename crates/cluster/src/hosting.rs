//! Hosting what the placement says: copying shards that this node is given, and letting go of those that it loses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use paquebot_blobs::{Holders as _, take_in};
use paquebot_mailbox::Service;
use paquebot_peer::{NodeName, Peers};
use paquebot_replica::{Trouble, TroubleKind};
use paquebot_types::ShardId;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};

use crate::holders::RegisteredHolders;
use crate::placement::Standing;
use crate::registry::Registry;

/// Shards that are copied at a time.
const AT_ONCE: usize = 4;
/// How often the placement is looked at without a bell.
const LOOK: Duration = Duration::from_secs(2);
/// Before a shard that could not be copied is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Shards that are ready are said to be so together.
const GATHER: Duration = Duration::from_millis(100);

/// What hosting needs of the node around it.
pub struct Hosting {
    pub node: NodeName,
    pub service: Arc<Service>,
    pub registry: Registry,
    pub peers: Arc<Peers>,
    pub holders: Arc<RegisteredHolders>,
    pub troubles: mpsc::UnboundedReceiver<Trouble>,
    /// Gets why this node must stop.
    pub fatal: watch::Sender<Option<String>>,
}

/// What there is to do with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Host,
    Copy,
    LetGo,
}

impl Hosting {
    /// Does what the placement says until it is ended.
    pub async fn run(mut self) {
        let mut bell = self.registry.subscribe();
        let mut ticks = interval(LOOK);
        // Shards whose copy here is of no use: they are copied anew as soon as etcd takes note of it.
        let mut useless: BTreeSet<ShardId> = self.service.store().importing().unwrap_or_default().into_iter().collect();
        let mut copied = Copied::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = bell.changed() => if changed.is_err() { return },
                Some(trouble) = self.troubles.recv() => self.consider(trouble, &mut useless),
            }
            let view = self.registry.view();
            copied.retain(|shard, _| {
                view.standing(&self.node, *shard) == Some(Standing::Joining) && !useless.contains(shard)
            });
            self.disown(&mut useless).await;
            self.work(&useless, &mut copied).await;
        }
    }

    fn consider(&self, trouble: Trouble, useless: &mut BTreeSet<ShardId>) {
        let Trouble { shard, kind, text } = trouble;
        match kind {
            TroubleKind::Trimmed | TroubleKind::Diverged | TroubleKind::Damaged => {
                tracing::error!(%shard, ?kind, text, "this node's copy of the shard is of no use: it is copied anew from another node");
                useless.insert(shard);
            }
            TroubleKind::Lost => {
                let what = format!(
                    "shard {shard}: {text}. etcd has lost what it had acknowledged (an old backup of it was restored?). This node stops, and follows it never: \
                     restore etcd as it was, or make a new cluster from this node's data with `paquebot cluster init --from-data`"
                );
                tracing::error!(what, "etcd has lost records");
                self.fatal.send_replace(Some(what));
            }
            TroubleKind::Newer(version) => {
                tracing::error!(%shard, version, text, "the log has records of a newer format: upgrade this node");
            }
        }
    }

    /// Has the placement say that this node does not have these shards any more.
    async fn disown(&self, useless: &mut BTreeSet<ShardId>) {
        if useless.is_empty() {
            return;
        }
        let (node, shards) = (&self.node, useless.clone());
        let changed = self.registry.change_table(|table| {
            let mut table = table.clone();
            shards.iter().for_each(|shard| table.set_joining(*shard, node));
            table
        });
        match changed.await {
            Ok(_) => {
                let view = self.registry.view();
                useless.retain(|shard| view.standing(node, *shard) == Some(Standing::Ready));
            }
            Err(error) => tracing::warn!(%error, "it cannot be said now which shards are to be copied anew"),
        }
    }

    fn tasks(&self, useless: &BTreeSet<ShardId>, copied: &Copied) -> Vec<(ShardId, Task)> {
        let view = self.registry.view();
        let Some(table) = &view.table else { return Vec::new() };
        let hosted: BTreeSet<ShardId> = self.service.hosted().into_iter().collect();
        let mut tasks: Vec<(ShardId, Task)> = table
            .of(&self.node)
            .filter_map(|(shard, standing)| match standing {
                Standing::Joining if copied.contains_key(&shard) && hosted.contains(&shard) => None,
                Standing::Joining => Some((shard, Task::Copy)),
                _ if hosted.contains(&shard) || useless.contains(&shard) => None,
                _ => Some((shard, Task::Host)),
            })
            .collect();
        let gone = hosted.iter().filter(|shard| view.standing(&self.node, **shard).is_none());
        tasks.extend(gone.map(|shard| (*shard, Task::LetGo)));
        tasks
    }

    /// Does all that there is to do; what fails is there to be done the next time.
    async fn work(&self, useless: &BTreeSet<ShardId>, copied: &mut Copied) {
        let mut waiting = self.tasks(useless, copied).into_iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < AT_ONCE {
                let Some((shard, task)) = waiting.next() else { break };
                under_way.push(self.carry_out(shard, task));
            }
            let next = tokio::select! {
                next = under_way.next() => next,
                () = sleep(GATHER), if copied.values().any(|said| !said) => {
                    self.say_ready(copied).await;
                    continue;
                }
            };
            match next {
                Some(done) => copied.extend(done.map(|shard| (shard, false))),
                None => break,
            }
        }
        self.say_ready(copied).await;
    }

    /// Gives the shard if it is one that is ready now.
    async fn carry_out(&self, shard: ShardId, task: Task) -> Option<ShardId> {
        let done = match task {
            Task::Host => self.service.host(shard).await.map_err(|error| error.to_string()).map(|()| None),
            Task::Copy => self.copy(shard).await.map(|()| Some(shard)),
            Task::LetGo => self.let_go(shard).await.map(|()| None),
        };
        match done {
            Ok(ready) => ready,
            Err(error) => {
                tracing::warn!(%shard, ?task, error, "a shard is not as the placement has it yet");
                sleep(PAUSE).await;
                None
            }
        }
    }

    async fn copy(&self, shard: ShardId) -> Result<(), String> {
        self.service.unhost(shard).await.map_err(|error| error.to_string())?;
        let mut last = "no other node has it".to_owned();
        for holder in self.holders.of(shard) {
            let peer = self.peers.to(&holder.node, &holder.address);
            match take_in(self.service.store(), &peer, shard).await {
                Ok(_) => return self.service.host(shard).await.map_err(|error| error.to_string()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    async fn let_go(&self, shard: ShardId) -> Result<(), String> {
        self.service.unhost(shard).await.map_err(|error| error.to_string())?;
        let store = self.service.store().clone();
        let dropped = tokio::task::spawn_blocking(move || store.drop_shard(shard)).await;
        dropped.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        tracing::info!(%shard, "other nodes host the shard now");
        Ok(())
    }

    /// What cannot be said now is said the next time.
    async fn say_ready(&self, copied: &mut Copied) {
        let unsaid: Vec<ShardId> = copied.iter().filter(|(_, said)| !**said).map(|(shard, _)| *shard).collect();
        if unsaid.is_empty() {
            return;
        }
        let changed = self.registry.change_table(|table| {
            let mut table = table.clone();
            unsaid.iter().for_each(|shard| table.set_ready(*shard, &self.node));
            table
        });
        match changed.await {
            Ok(_) => copied.values_mut().for_each(|said| *said = true),
            Err(error) => tracing::warn!(%error, "it cannot be said now that shards are ready"),
        }
    }
}

/// Shards that this node has copied and follows, and whether it has said so. They stay until that is seen in the placement.
type Copied = BTreeMap<ShardId, bool>;
