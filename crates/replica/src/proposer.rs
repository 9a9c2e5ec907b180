//! Group commit: while one record is on its way to the log, the next one's ops gather.

use std::sync::Arc;
use std::time::Duration;

use paquebot_log::{AppendError, Body, Log};
use paquebot_model::{NeedsVersion, Op, Outcome, Record};
use paquebot_types::{Sequence, ShardId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::options::Stamps;
use crate::waiting::{Reply, Waiters, Waiting};

/// Ops in a record, at most; a proposal's own ops stay together, however many they are.
const RECORD_OPS: usize = 1024;
/// Octets of ops in a record, at most, unless its first proposal alone has more: engines take records of 1 MiB.
const RECORD_BYTES: usize = 512 << 10;
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

struct Proposal {
    ops: Vec<Op>,
    bodies: Vec<Body>,
    reply: Reply,
}

/// The way into one shard's log.
pub(crate) struct Proposer {
    queue: mpsc::Sender<Proposal>,
    record_version: watch::Receiver<u8>,
}

/// What a proposer needs of the node around it.
pub(crate) struct Surroundings {
    pub(crate) shard: ShardId,
    pub(crate) node: Arc<str>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) waiting: Arc<Waiting>,
    /// The last applied sequence.
    pub(crate) applied: watch::Receiver<Sequence>,
    /// The version up to which every member reads records.
    pub(crate) record_version: watch::Receiver<u8>,
    pub(crate) stamps: Stamps,
    /// How long a record whose outcome is unknown may yet show up.
    pub(crate) unknown_wait: Duration,
}

impl Proposer {
    /// Starts the task that gathers; it ends with the proposer.
    pub(crate) fn start(surroundings: Surroundings) -> Self {
        let (queue, proposals) = mpsc::channel(QUEUE);
        let record_version = surroundings.record_version.clone();
        tokio::spawn(gather(surroundings, proposals));
        Self { queue, record_version }
    }

    /// Proposes ops that stay together in one record; gives their outcomes once they are durable and applied here.
    pub(crate) async fn propose(&self, ops: Vec<Op>, bodies: Vec<Body>) -> Result<Vec<Outcome>, ProposeError> {
        let max = *self.record_version.borrow();
        let ops = ops.into_iter().map(|op| op.for_version(max)).collect::<Result<Vec<Op>, NeedsVersion>>();
        let ops = ops.map_err(|error| ProposeError::Unavailable(error.to_string()))?;
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
        let (mut bytes, mut body_bytes) = (bytes_of(&ops), 0);
        while let Ok(next) = proposals.try_recv() {
            let next_bytes = bytes_of(&next.ops);
            let next_body_bytes: usize = next.bodies.iter().map(Body::unwritten_bytes).sum();
            if ops.len() + next.ops.len() > RECORD_OPS
                || bytes + next_bytes > RECORD_BYTES
                || body_bytes + next_body_bytes > RECORD_BODY_BYTES
            {
                left_over = Some(next);
                break;
            }
            bytes += next_bytes;
            body_bytes += next_body_bytes;
            waiters.push((next.ops.len(), next.reply));
            ops.extend(next.ops);
            bodies.extend(next.bodies);
        }
        append(&surroundings, ops, bodies, waiters).await;
    }
}

fn bytes_of(ops: &[Op]) -> usize {
    ops.iter().map(Op::encoded_bytes).sum()
}

async fn append(surroundings: &Surroundings, ops: Vec<Op>, bodies: Vec<Body>, waiters: Waiters) {
    let (id, time_ms) = match (surroundings.stamps)() {
        Ok(stamp) => stamp,
        Err(error) => {
            for (_, reply) in waiters {
                let _ = reply.send(Err(ProposeError::Unavailable(format!("no random numbers: {error}"))));
            }
            return;
        }
    };
    let after = *surroundings.applied.borrow();
    let record = Record { id, after, time_ms, node: surroundings.node.to_string(), ops };
    if !surroundings.waiting.insert(id, waiters) {
        return;
    }
    match surroundings.log.append(surroundings.shard, record, bodies).await {
        Ok(_) => {}
        // The log itself may tell, if the record comes out of it.
        Err(error @ AppendError::Unknown(_)) if !surroundings.unknown_wait.is_zero() => {
            let (waiting, wait) = (surroundings.waiting.clone(), surroundings.unknown_wait);
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                waiting.fail(id, &error.into());
            });
        }
        Err(error) => surroundings.waiting.fail(id, &error.into()),
    }
}
