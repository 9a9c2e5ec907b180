//! Group commit: while transactions are on their way to etcd, the records for the next one gather.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use paquebot_log::AppendError;
use paquebot_types::ShardId;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::keys::identity_value;
use crate::kv::{Answer, Condition, Op, Txn};
use crate::link::Link;

/// A record has at most this many bytes: etcd takes 1.5 MiB a request unless it is told otherwise.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records in a transaction, at most: etcd takes 128 operations, and one is a look at whose keys these are.
const GROUP_RECORDS: usize = 127;
/// Bytes of a transaction, at most, beyond those of its first record.
const GROUP_BYTES: usize = 1 << 20;
/// Transactions on their way at the same time. A few hide the round trip; more would make the groups small.
const IN_FLIGHT: usize = 8;
/// Records that wait, at most; more wait where they come from.
const QUEUE: usize = 1024;
/// Between attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A record that waits.
pub struct Request {
    pub shard: ShardId,
    pub key: String,
    pub value: Vec<u8>,
    /// Hears the revision at which the record was made.
    pub reply: oneshot::Sender<Result<i64, AppendError>>,
}

impl Request {
    pub fn refuse(self, error: &AppendError) {
        let _ = self.reply.send(Err(error.clone()));
    }
}

/// A queue for [`run`]. Records that come together go together, if they can.
pub fn queue() -> (mpsc::Sender<Vec<Request>>, mpsc::Receiver<Vec<Request>>) {
    mpsc::channel(QUEUE)
}

/// Commits what is asked until nobody can ask any more.
pub async fn run(link: Arc<Link>, mut requests: mpsc::Receiver<Vec<Request>>) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut commits = JoinSet::new();
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match requests.recv().await {
                Some(more) => waiting.extend(more),
                None => break,
            }
        }
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        while waiting.len() < QUEUE {
            let Ok(more) = requests.try_recv() else { break };
            waiting.extend(more);
        }
        let group = take_group(&mut waiting);
        let link = link.clone();
        commits.spawn(async move {
            commit(&link, group).await;
            drop(permit);
        });
        while commits.try_join_next().is_some() {}
    }
    while commits.join_next().await.is_some() {}
}

/// Commits these records, in as few groups as they can be.
pub async fn commit_all(link: &Link, mut waiting: VecDeque<Request>) {
    while !waiting.is_empty() {
        commit(link, take_group(&mut waiting)).await;
    }
}

/// The next group: at most one record of each shard, so that revisions order the records of a shard.
fn take_group(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let mut group: Vec<Request> = Vec::new();
    let mut shards = HashSet::new();
    let mut bytes = 0;
    let mut left = VecDeque::new();
    while let Some(request) = waiting.pop_front() {
        let fits = group.is_empty() || bytes + request.value.len() <= GROUP_BYTES;
        // A shard whose record has to wait lets no later one of its own pass.
        match group.len() < GROUP_RECORDS && shards.insert(request.shard) && fits {
            true => {
                bytes += request.value.len();
                group.push(request);
            }
            false => left.push_back(request),
        }
    }
    *waiting = left;
    group
}

/// Makes the records of a group, each once, and answers those who wait.
async fn commit(link: &Link, mut group: Vec<Request>) {
    if let Err(failure) = link.quorum().await {
        return refuse(group, &AppendError::Unavailable(failure.to_string()));
    }
    let until = Instant::now() + link.options.deadline;
    // Whether an attempt may yet come to be, or has.
    let mut in_balance = false;
    loop {
        let txn = transaction(link, &group);
        let failure = match link.attempt(|kv, member| kv.txn(member, txn)).await {
            Ok(answer) if answer.happened => {
                let revision = answer.revision;
                group.into_iter().for_each(|request| drop(request.reply.send(Ok(revision))));
                return;
            }
            // Some are there already: from an attempt whose answer was lost.
            Ok(answer) => match there_already(link, &answer, group.len()) {
                Ok(made) => {
                    let found = made.iter().any(Option::is_some);
                    group = answer_made(group, made);
                    match (group.is_empty(), found) {
                        (true, _) => return,
                        (false, true) => continue,
                        (false, false) => Failure::NotDone("the keys changed".into()),
                    }
                }
                Err(refusal) => Failure::Refused(refusal),
            },
            Err(failure) => failure,
        };
        let final_word = match failure {
            Failure::Refused(_) | Failure::Compacted(_) => !in_balance,
            Failure::Unknown(_) => {
                in_balance = true;
                false
            }
            Failure::NotDone(_) => false,
        };
        if final_word || Instant::now() + PAUSE >= until {
            let said = failure.to_string();
            let error = if in_balance { AppendError::Unknown(said) } else { AppendError::Unavailable(said) };
            return refuse(group, &error);
        }
        sleep(PAUSE).await;
    }
}

/// Makes all of the records if none is there and the keys are this cluster's; else tells which are there.
fn transaction(link: &Link, group: &[Request]) -> Txn {
    let cluster = link.keys.cluster();
    let mut txn = Txn::default();
    txn.when.push(Condition::Holds(cluster.clone(), identity_value(link.options.cluster).into()));
    txn.otherwise.push(Op::Get(cluster));
    for request in group {
        txn.when.push(Condition::Absent(request.key.clone()));
        txn.then.push(Op::Put(request.key.clone(), request.value.clone()));
        txn.otherwise.push(Op::Name(request.key.clone()));
    }
    txn
}

/// The revisions at which the records were made that are there; an error when the keys are not this cluster's.
fn there_already(link: &Link, answer: &Answer, count: usize) -> Result<Vec<Option<i64>>, String> {
    let ours = identity_value(link.options.cluster);
    if answer.pair(0).is_none_or(|pair| pair.value != ours.as_bytes()) {
        return Err("its keys are not this cluster's any more: was etcd made anew, or an old backup restored?".into());
    }
    let made: Vec<_> = answer.found.iter().skip(1).map(|found| Some(found.pairs.first()?.made)).collect();
    if made.len() == count { Ok(made) } else { Err("it answered something else than it was asked".into()) }
}

/// Answers those whose records are there; gives the others.
fn answer_made(group: Vec<Request>, made: Vec<Option<i64>>) -> Vec<Request> {
    let mut left = Vec::new();
    for (request, made) in group.into_iter().zip(made) {
        match made {
            Some(revision) => drop(request.reply.send(Ok(revision))),
            None => left.push(request),
        }
    }
    left
}

fn refuse(group: Vec<Request>, error: &AppendError) {
    group.into_iter().for_each(|request| request.refuse(error));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(shard: u16, bytes: usize) -> Request {
        Request { shard: ShardId(shard), key: String::new(), value: vec![0; bytes], reply: oneshot::channel().0 }
    }

    fn shape(group: &[Request]) -> Vec<(u16, usize)> {
        group.iter().map(|request| (request.shard.0, request.value.len())).collect()
    }

    #[test]
    fn a_group_has_one_record_of_each_shard_and_what_fits() {
        let mut waiting =
            VecDeque::from([request(1, 10), request(2, GROUP_BYTES), request(1, 11), request(2, 5), request(3, 6)]);
        assert_eq!(shape(&take_group(&mut waiting)), [(1, 10), (3, 6)]);
        assert_eq!(shape(&take_group(&mut waiting)), [(2, GROUP_BYTES)]);
        assert_eq!(shape(&take_group(&mut waiting)), [(1, 11), (2, 5)]);
        let mut many: VecDeque<Request> = (0..200).map(|shard| request(shard, 1)).collect();
        assert_eq!((take_group(&mut many).len(), many.len()), (GROUP_RECORDS, 73));
    }
}
