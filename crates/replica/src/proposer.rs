//! Group commit: while one record is on its way to the log, the next one's ops gather.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use paquebot_log::{AppendError, Body, Log};
use paquebot_model::{Op, Outcome, Record, RecordId};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// Ops in a record, at most; a proposal's own ops stay together, however many they are.
const RECORD_OPS: usize = 1024;
/// Octets of bodies that one record brings, at most, beyond those of its first proposal.
const RECORD_BODY_BYTES: usize = 8 << 20;
/// Proposals that wait for the record before theirs; more wait in their sessions.
const QUEUE: usize = 4096;

/// Why a change was not made, or may not have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// Not done, and never will be: the disk is full.
    #[error("the disk is full")]
    Full,
    /// Not done, and never will be.
    #[error("changes cannot be taken now: {0}")]
    Unavailable(String),
    /// Nobody can tell. The client must not be told that it failed.
    #[error("the outcome of the change is unknown: {0}")]
    Unknown(String),
}

impl From<AppendError> for ProposeError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => Self::Full,
            AppendError::Unavailable(why) => Self::Unavailable(why),
            AppendError::Unknown(why) => Self::Unknown(why),
        }
    }
}

type Reply = oneshot::Sender<Result<Vec<Outcome>, ProposeError>>;

struct Proposal {
    ops: Vec<Op>,
    bodies: Vec<Body>,
    reply: Reply,
}

/// Who waits for which outcomes of a record: the number of ops of each, in order.
pub struct Waiting {
    waiting: Mutex<HashMap<RecordId, Vec<(usize, Reply)>>>,
}

impl Waiting {
    pub fn new() -> Self {
        Self { waiting: Mutex::new(HashMap::new()) }
    }

    /// Gives each waiter of a record the outcomes of its ops.
    pub fn resolve(&self, id: RecordId, outcomes: Vec<Outcome>) {
        let Some(waiters) = self.waiting.lock().remove(&id) else { return };
        let mut outcomes = outcomes.into_iter();
        for (count, reply) in waiters {
            let own: Vec<Outcome> = outcomes.by_ref().take(count).collect();
            let result = match own.len() == count {
                true => Ok(own),
                false => Err(ProposeError::Unknown("the record was applied before".into())),
            };
            // A session that has ended does not wait for its answer.
            let _ = reply.send(result);
        }
    }

    pub fn fail(&self, id: RecordId, error: &ProposeError) {
        for (_, reply) in self.waiting.lock().remove(&id).unwrap_or_default() {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Fails everyone: the records may be in the log, but this node will not apply them.
    pub fn fail_all(&self, error: &ProposeError) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for (_, reply) in waiting.into_values().flatten() {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

/// The way into one shard's log.
#[derive(Clone)]
pub struct Proposer {
    queue: mpsc::Sender<Proposal>,
}

/// What a proposer needs of the node around it.
pub struct Surroundings {
    pub shard: ShardId,
    pub node: String,
    pub log: Arc<dyn Log>,
    pub waiting: Arc<Waiting>,
    /// The last applied sequence.
    pub applied: tokio::sync::watch::Receiver<Sequence>,
}

impl Proposer {
    /// Starts the task that gathers; it ends with the last clone of the proposer.
    pub fn start(surroundings: Surroundings) -> Self {
        let (queue, proposals) = mpsc::channel(QUEUE);
        tokio::spawn(gather(surroundings, proposals));
        Self { queue }
    }

    /// Proposes ops that stay together in one record; gives their outcomes once they are durable and applied here.
    pub async fn propose(&self, ops: Vec<Op>, bodies: Vec<Body>) -> Result<Vec<Outcome>, ProposeError> {
        let (reply, outcomes) = oneshot::channel();
        let stopped = || ProposeError::Unavailable("the server is stopping".into());
        self.queue.send(Proposal { ops, bodies, reply }).await.map_err(|_| stopped())?;
        outcomes.await.unwrap_or_else(|_| Err(ProposeError::Unknown("the server is stopping".into())))
    }
}

async fn gather(surroundings: Surroundings, mut proposals: mpsc::Receiver<Proposal>) {
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(proposal) => proposal,
            None => match proposals.recv().await {
                Some(proposal) => proposal,
                None => return,
            },
        };
        let (mut ops, mut bodies, mut waiters) = (first.ops, first.bodies, vec![]);
        waiters.push((ops.len(), first.reply));
        let mut body_bytes = 0;
        while let Ok(next) = proposals.try_recv() {
            let next_bytes: usize = next.bodies.iter().map(Body::unwritten_bytes).sum();
            if ops.len() + next.ops.len() > RECORD_OPS || body_bytes + next_bytes > RECORD_BODY_BYTES {
                left_over = Some(next);
                break;
            }
            body_bytes += next_bytes;
            waiters.push((next.ops.len(), next.reply));
            ops.extend(next.ops);
            bodies.extend(next.bodies);
        }
        append(&surroundings, ops, bodies, waiters).await;
    }
}

async fn append(surroundings: &Surroundings, ops: Vec<Op>, bodies: Vec<Body>, waiters: Vec<(usize, Reply)>) {
    let id = match random_id() {
        Ok(id) => id,
        Err(error) => {
            for (_, reply) in waiters {
                let _ = reply.send(Err(ProposeError::Unavailable(format!("no random numbers: {error}"))));
            }
            return;
        }
    };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    let after = *surroundings.applied.borrow();
    let record = Record { id, after, time_ms, node: surroundings.node.clone(), ops };
    surroundings.waiting.waiting.lock().insert(id, waiters);
    if let Err(error) = surroundings.log.append(surroundings.shard, record, bodies).await {
        surroundings.waiting.fail(id, &error.into());
    }
}

fn random_id() -> Result<RecordId, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(RecordId(id))
}
