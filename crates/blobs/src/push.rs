//! Having another node keep a record's bodies before the record is appended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use paquebot_log::{AppendError, Body, BoxFuture, Keepers};
use paquebot_model::RecordId;
use paquebot_peer::{NodeName, PeerError, Peers};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::holders::{Holder, Holders};

/// A node that takes longer gets company: the next one is asked too.
const COMPANY: Duration = Duration::from_millis(500);
/// Nothing was appended when nobody has the bodies after so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much the last push weighs in a node's average, of eight.
const WEIGHT: u32 = 2;

/// Sends bodies to the node that answers fastest among those that host the shard.
pub struct Push {
    peers: Arc<Peers>,
    holders: Arc<dyn Holders>,
    /// How long each node takes, of late.
    times: Mutex<HashMap<NodeName, Duration>>,
}

impl Push {
    pub fn new(peers: Arc<Peers>, holders: Arc<dyn Holders>) -> Self {
        Self { peers, holders, times: Mutex::default() }
    }

    async fn push(&self, push: paquebot_peer::Push) -> Result<(), AppendError> {
        let shard = push.shard;
        let mut holders = self.holders.of(shard);
        if holders.is_empty() {
            return match self.holders.is_alone(shard) {
                true => Ok(()),
                false => Err(AppendError::Unavailable(format!(
                    "no other node that hosts shard {shard} is up, and a message must be on two"
                ))),
            };
        }
        self.fastest_first(&mut holders);
        let mut waiting = holders.into_iter();
        let mut asked = FuturesUnordered::new();
        let mut last = None;
        loop {
            match waiting.next() {
                Some(holder) => asked.push(self.push_to(holder, clone(&push))),
                None if asked.is_empty() => break,
                None => {}
            }
            // Until one has failed, or nobody has answered for a while.
            let answer = tokio::select! {
                answer = asked.next() => answer,
                () = sleep(COMPANY), if waiting.len() > 0 => continue,
            };
            match answer {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => last = Some(error),
                None => {}
            }
        }
        let last = last.map_or_else(String::new, |error| error.to_string());
        Err(AppendError::Unavailable(format!("no other node has taken the message's body: {last}")))
    }

    async fn push_to(&self, holder: Holder, push: paquebot_peer::Push) -> Result<(), PeerError> {
        let began = Instant::now();
        let result = self.peers.to(&holder.node, &holder.address).push(push).await;
        // A node that fails comes last until it is better.
        let took = if result.is_ok() { began.elapsed() } else { PATIENCE };
        let mut times = self.times.lock();
        let average = times.entry(holder.node.clone()).or_insert(took);
        *average = if took == PATIENCE { took } else { (*average * (8 - WEIGHT) + took * WEIGHT) / 8 };
        drop(times);
        if let Err(error) = &result {
            tracing::warn!(%error, "a body was not taken");
        }
        result
    }

    fn fastest_first(&self, holders: &mut [Holder]) {
        let times = self.times.lock();
        holders.sort_by_key(|holder| times.get(&holder.node).copied().unwrap_or_default());
    }
}

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
        Box::pin(async move {
            let push = self.push(paquebot_peer::Push { shard, record, after, bodies });
            timeout(PATIENCE, push).await.unwrap_or_else(|_| {
                Err(AppendError::Unavailable("no other node has taken the message's body in time".into()))
            })
        })
    }
}
