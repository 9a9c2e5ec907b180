//! Having other nodes keep a record's bodies before the record is appended.
//!
//! All hosts that are up get them at once, and the first that has flushed them is enough: the others need not fetch them later. What a slow one has not taken yet is
//! bounded; beyond that it fetches them when it applies the record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use paquebot_log::{AppendError, Body, BoxFuture, Keepers};
use paquebot_model::RecordId;
use paquebot_peer::{NodeName, PeerError, Peers};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::holders::{Holder, Holders};

/// Nothing was appended when nobody has the bodies after so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much the last push weighs in a node's average, of eight.
const WEIGHT: u32 = 2;
/// KiB of bodies that nodes have not taken yet although others have, at most.
const BEHIND_KIB: usize = 64 << 10;

/// Sends bodies to the nodes that host the shard.
pub struct Push {
    inner: Arc<Inner>,
}

struct Inner {
    peers: Arc<Peers>,
    holders: Arc<dyn Holders>,
    /// How long each node takes, of late.
    times: Mutex<HashMap<NodeName, Duration>>,
    behind: Arc<Semaphore>,
}

impl Push {
    pub fn new(peers: Arc<Peers>, holders: Arc<dyn Holders>) -> Self {
        let behind = Arc::new(Semaphore::new(BEHIND_KIB));
        Self { inner: Arc::new(Inner { peers, holders, times: Mutex::default(), behind }) }
    }
}

impl Inner {
    async fn push(self: &Arc<Self>, push: paquebot_peer::Push) -> Result<(), AppendError> {
        let shard = push.shard;
        let mut holders = self.holders.of(shard);
        if holders.is_empty() {
            return match self.holders.is_alone(shard) {
                true => Ok(()),
                false => Err(AppendError::Unavailable(format!(
                    "no other node that hosts shard {shard} is known, and a message must be on two"
                ))),
            };
        }
        self.fastest_first(&mut holders);
        let (answer, mut answers) = mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        let mut asked = 0;
        for holder in holders {
            // The first is asked in any case; who is down only if nobody else has taken them.
            if asked > 0 && !(holder.is_up && self.send_behind(&holder, &push, &answer)) {
                waiting.push(holder);
                continue;
            }
            if asked == 0 {
                self.send(holder, clone(&push), answer.clone());
            }
            asked += 1;
        }
        let mut waiting = waiting.into_iter();
        let mut last = None;
        while asked > 0 {
            match answers.recv().await {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => last = Some(error),
                None => break,
            }
            asked -= 1;
            if asked == 0
                && let Some(holder) = waiting.next()
            {
                self.send(holder, clone(&push), answer.clone());
                asked += 1;
            }
        }
        let last = last.map_or_else(String::new, |error: PeerError| error.to_string());
        Err(AppendError::Unavailable(format!("no other node has taken the message's body: {last}")))
    }

    fn send(self: &Arc<Self>, holder: Holder, push: paquebot_peer::Push, answer: Answer) {
        let inner = self.clone();
        // A task of its own: it goes on when another node was faster.
        tokio::spawn(async move {
            let result = inner.push_to(&holder, push).await;
            let _ = answer.send(result);
        });
    }

    /// The same for a node that need not be the first; `false` if too much is on its way already.
    fn send_behind(self: &Arc<Self>, holder: &Holder, push: &paquebot_peer::Push, answer: &Answer) -> bool {
        let kib = push.bodies.iter().map(|body| body.unwritten_bytes() / 1024 + 1).sum::<usize>();
        let Ok(kib) = u32::try_from(kib) else { return false };
        let Ok(place) = self.behind.clone().try_acquire_many_owned(kib) else { return false };
        let (inner, holder, push, answer) = (self.clone(), holder.clone(), clone(push), answer.clone());
        tokio::spawn(async move {
            let result = inner.push_to(&holder, push).await;
            drop(place);
            let _ = answer.send(result);
        });
        true
    }

    async fn push_to(&self, holder: &Holder, push: paquebot_peer::Push) -> Result<(), PeerError> {
        let began = Instant::now();
        let result = self.peers.to(&holder.node, &holder.address).push(push).await;
        // A node that fails comes last until it is better.
        let took = if result.is_ok() { began.elapsed() } else { PATIENCE };
        let mut times = self.times.lock();
        let average = times.entry(holder.node.clone()).or_insert(took);
        *average =
            if took == PATIENCE || *average == PATIENCE { took } else { (*average * (8 - WEIGHT) + took * WEIGHT) / 8 };
        drop(times);
        if let Err(error) = &result {
            tracing::debug!(%error, "a body was not taken");
        }
        result
    }

    fn fastest_first(&self, holders: &mut [Holder]) {
        let times = self.times.lock();
        holders.sort_by_key(|holder| (!holder.is_up, times.get(&holder.node).copied().unwrap_or_default()));
    }
}

type Answer = mpsc::UnboundedSender<Result<(), PeerError>>;

fn clone(push: &paquebot_peer::Push) -> paquebot_peer::Push {
    let paquebot_peer::Push { shard, record, after, bodies } = push;
    paquebot_peer::Push { shard: *shard, record: *record, after: *after, bodies: bodies.clone() }
}

impl Keepers for Push {
    fn keep(
        &self,
        shard: ShardId,
        record: RecordId,
        after: Sequence,
        bodies: Vec<Body>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let late = || AppendError::Unavailable("no other node has taken the message's body in time".into());
            let push = inner.push(paquebot_peer::Push { shard, record, after, bodies });
            timeout(PATIENCE, push).await.unwrap_or_else(|_| Err(late()))
        })
    }
}
