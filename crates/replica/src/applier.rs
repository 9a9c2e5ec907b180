//! Applies records to the store, in the log's order: the one writer of the shards' rows.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use paquebot_log::{Entry, Fed, Log};
use paquebot_store::Store;
use paquebot_types::{Sequence, ShardId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::apply::{Done, Unreadable, apply_batch, batch_len, has_mark};
use crate::feeds::Feeds;
use crate::options::{OnMark, Watcher};
use crate::trouble::{FollowError, Trouble};
use crate::waiting::Waiting;

/// Pieces of feeds taken at once, at most.
const PIECES: usize = 256;

/// What the applier is told to do.
pub(crate) enum Command {
    Host(ShardId, Hosted, mpsc::Receiver<Fed>),
    /// The reply comes when nothing of the shard is applied any more.
    Unhost(ShardId, oneshot::Sender<()>),
}

/// A shard, as the applier sees it.
pub(crate) struct Hosted {
    /// What readers and sessions have been told of.
    pub(crate) told: watch::Sender<Sequence>,
    pub(crate) failure: watch::Sender<Option<Arc<str>>>,
    /// Becomes true when the shard must not be read here any more.
    pub(crate) gone: Arc<watch::Sender<bool>>,
    pub(crate) waiting: Arc<Waiting>,
}

impl Hosted {
    pub(crate) fn is_followed(&self) -> bool {
        self.failure.borrow().is_none()
    }
}

impl Drop for Hosted {
    /// However it comes that nothing of the shard is applied any more, nobody waits for it.
    fn drop(&mut self) {
        self.waiting.close("this node has let go of the shard");
    }
}

/// What the applier works with.
pub(crate) struct Applier {
    pub(crate) store: Arc<Store>,
    /// Weak: the log feeds the applier, which must end when nobody else has the log.
    pub(crate) log: Weak<dyn Log>,
    /// Whether the log's engine writes to the store: then its end is waited for.
    pub(crate) records_in_store: bool,
    pub(crate) watcher: Watcher,
    pub(crate) on_mark: Option<OnMark>,
    pub(crate) troubles: Option<mpsc::UnboundedSender<Trouble>>,
    pub(crate) commands: Commands,
    pub(crate) hosted: HashMap<ShardId, Hosted>,
    pub(crate) feeds: Feeds,
    /// Dropped when the applier has let go of the store.
    pub(crate) ended: oneshot::Sender<()>,
}

/// The commands of a replica, until it is dropped.
pub(crate) struct Commands {
    pub(crate) receiver: mpsc::UnboundedReceiver<Command>,
    pub(crate) are_over: bool,
    /// Those that came while the index was recovered.
    pub(crate) put_off: Vec<Command>,
}

impl Applier {
    /// Applies what is fed until the replica is gone.
    pub(crate) async fn run(mut self) {
        self.follow().await;
        let Self { store, hosted, feeds, ended, .. } = self;
        drop((hosted, feeds));
        drop(store);
        drop(ended);
    }

    async fn follow(&mut self) {
        while !self.is_over() {
            for command in std::mem::take(&mut self.commands.put_off) {
                self.obey(command);
            }
            let first = tokio::select! {
                biased;
                command = self.commands.receiver.recv(), if !self.commands.are_over => {
                    match command {
                        Some(command) => self.obey(command),
                        None => self.commands.are_over = true,
                    }
                    continue;
                }
                fed = self.feeds.next(), if !self.feeds.is_empty() => fed,
            };
            let Some(first) = first else { continue };
            let mut fed = vec![first];
            while fed.len() < PIECES
                && let Some(next) = self.feeds.try_next()
            {
                fed.push(next);
            }
            self.take(fed).await;
        }
    }

    /// Whether there is nothing to do any more. A log whose engine uses the store is followed to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.commands.are_over && (self.feeds.is_empty() || !self.records_in_store)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Host(shard, hosted, feed) => {
                if self.hosted.insert(shard, hosted).is_some() {
                    self.feeds.remove(shard);
                }
                self.feeds.add(shard, feed);
            }
            Command::Unhost(shard, done) => {
                self.feeds.remove(shard);
                self.hosted.remove(&shard);
                let _ = done.send(());
            }
        }
    }

    async fn take(&mut self, fed: Vec<(ShardId, Fed)>) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut failures = Vec::new();
        for (shard, fed) in fed {
            match fed {
                Fed::Entries(more) => entries.extend(more),
                Fed::Failed(_, error) => failures.push((shard, error)),
            }
        }
        let (mut rest, elsewhere) = (entries.as_slice(), HashMap::new());
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_len(rest));
            match self.store.write(|txn| apply_batch(txn, batch, &elsewhere, Unreadable::IsTheIndexs)) {
                Ok(done) => self.tell(batch.iter().zip(done)),
                Err(error) => {
                    tracing::error!(%error, "the index failed; it is opened again as it was last made durable");
                    self.recover(rest).await;
                    break;
                }
            }
            self.show_mark(batch);
            rest = later;
        }
        for (shard, error) in failures {
            self.fail(shard, &FollowError::Log(shard, error));
        }
    }

    /// Lets readers and proposers know.
    pub(crate) fn tell<'a>(&mut self, done: impl Iterator<Item = (&'a Entry, Done)>) {
        for (entry, done) in done {
            match done {
                Done::Applied(applied) => {
                    (self.watcher)(entry.shard, entry.sequence, &applied);
                    if let Some(hosted) = self.hosted.get(&entry.shard) {
                        hosted.told.send_replace(entry.sequence);
                        hosted.waiting.resolve(entry.record.id, applied.outcomes);
                    }
                }
                Done::Passed => {}
                Done::Failed(error) => self.fail(entry.shard, &error),
            }
        }
    }

    /// The batch's last record was applied, and nothing since.
    fn show_mark(&self, batch: &[Entry]) {
        let (Some(on_mark), Some(entry)) = (&self.on_mark, batch.last().filter(|entry| has_mark(entry))) else {
            return;
        };
        if !self.hosted.get(&entry.shard).is_some_and(Hosted::is_followed) {
            return;
        }
        let read = self.store.read().and_then(|txn| Ok((txn.applied(entry.shard)?, txn)));
        match read {
            // Else it was applied before, and more since.
            Ok((applied, txn)) if applied.sequence == entry.sequence => {
                on_mark(entry.shard, entry.sequence, paquebot_model::Chain(applied.chain), txn);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(shard = %entry.shard, %error, "the shard cannot be compared with its peers now")
            }
        }
    }

    /// Follows a shard no more: it serves what it has and takes no changes.
    pub(crate) fn fail(&mut self, shard: ShardId, error: &FollowError) {
        let Some(hosted) = self.hosted.get(&shard).filter(|hosted| hosted.is_followed()) else { return };
        let text = error.text();
        tracing::error!(%shard, error = text, "records cannot be applied: this node takes no changes of the shard");
        hosted.failure.send_replace(Some(text.as_str().into()));
        hosted.waiting.close(&text);
        self.feeds.remove(shard);
        if let Some(troubles) = &self.troubles {
            let _ = troubles.send(Trouble { shard, kind: error.kind(), text });
        }
    }
}
