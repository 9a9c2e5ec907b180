//! Having other nodes keep records' bodies before the records are appended.
//!
//! All hosts that are up get them at once, and the first that has flushed them is enough: the others need not fetch them later. What a slow one has not taken yet is
//! bounded; beyond that it fetches them when it applies the record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use paquebot_log::{AppendError, BoxFuture, Keepers, RecordBodies};
use paquebot_peer::{NodeName, PeerError, Peers};
use paquebot_types::ShardId;
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
    /// Of a shard that nobody else is known to host.
    fn without_holders(&self, shard: ShardId) -> Result<(), AppendError> {
        match self.holders.is_alone(shard) {
            true => Ok(()),
            false => Err(AppendError::Unavailable(format!(
                "no other node that hosts shard {shard} is known, and a message must be on two"
            ))),
        }
    }

    async fn push(self: &Arc<Self>, push: Records, mut holders: Vec<Holder>) -> Result<(), AppendError> {
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
                self.send(holder, push.clone(), answer.clone());
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
                self.send(holder, push.clone(), answer.clone());
                asked += 1;
            }
        }
        let last = last.map_or_else(String::new, |error: PeerError| error.to_string());
        Err(AppendError::Unavailable(format!("no other node has taken the message's body: {last}")))
    }

    fn send(self: &Arc<Self>, holder: Holder, push: Records, answer: Answer) {
        let inner = self.clone();
        // A task of its own: it goes on when another node was faster.
        tokio::spawn(async move {
            let result = inner.push_to(&holder, push).await;
            let _ = answer.send(result);
        });
    }

    /// The same for a node that need not be the first; `false` if too much is on its way already.
    fn send_behind(self: &Arc<Self>, holder: &Holder, push: &Records, answer: &Answer) -> bool {
        let kib =
            push.iter().flat_map(|record| &record.bodies).map(|body| body.unwritten_bytes() / 1024 + 1).sum::<usize>();
        let Ok(kib) = u32::try_from(kib) else { return false };
        let Ok(place) = self.behind.clone().try_acquire_many_owned(kib) else { return false };
        let (inner, holder, push, answer) = (self.clone(), holder.clone(), push.clone(), answer.clone());
        tokio::spawn(async move {
            let result = inner.push_to(&holder, push).await;
            drop(place);
            let _ = answer.send(result);
        });
        true
    }

    async fn push_to(&self, holder: &Holder, push: Records) -> Result<(), PeerError> {
        let began = Instant::now();
        let result = self.peers.to(&holder.node, &holder.address).push(push.to_vec()).await;
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

/// The same for all that they are sent to.
type Records = Arc<[RecordBodies]>;

type Answer = mpsc::UnboundedSender<Result<(), PeerError>>;

/// Records whose shards have the same hosts.
struct Group {
    holders: Vec<Holder>,
    /// Where among all records each is.
    places: Vec<usize>,
    records: Vec<RecordBodies>,
}

impl Keepers for Push {
    fn keep(&self, records: Vec<RecordBodies>) -> BoxFuture<'_, Vec<Result<(), AppendError>>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let mut answers: Vec<Result<(), AppendError>> = Vec::with_capacity(records.len());
            let mut together: BTreeMap<Vec<NodeName>, Group> = BTreeMap::new();
            for (index, record) in records.into_iter().enumerate() {
                let holders = inner.holders.of(record.shard);
                answers.push(if holders.is_empty() { inner.without_holders(record.shard) } else { Ok(()) });
                if !holders.is_empty() {
                    let names = holders.iter().map(|holder| holder.node.clone()).collect();
                    let new = || Group { holders, places: Vec::new(), records: Vec::new() };
                    let group = together.entry(names).or_insert_with(new);
                    group.places.push(index);
                    group.records.push(record);
                }
            }
            let late = || AppendError::Unavailable("no other node has taken the message's body in time".into());
            let pushes = together.into_values().map(async |group| {
                let kept = timeout(PATIENCE, inner.push(group.records.into(), group.holders)).await;
                (group.places, kept.unwrap_or_else(|_| Err(late())))
            });
            for (places, kept) in join_all(pushes).await {
                for place in places {
                    answers[place] = kept.clone();
                }
            }
            answers
        })
    }
}
