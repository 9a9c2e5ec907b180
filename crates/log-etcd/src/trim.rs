//! Forgetting what every member has applied.

use std::time::Duration;

use paquebot_log::LogError;
use paquebot_types::Sequence;
use tokio::time::{Instant, sleep, timeout_at};

use crate::keys::Base;
use crate::kv::{Condition, Op, Txn};
use crate::link::Link;
use crate::shard::Shard;

/// Records removed in a transaction, at most: etcd takes 128 operations, and one counts them.
const RECORDS: usize = 127;
/// Between attempts, when somebody else trims too.
const PAUSE: Duration = Duration::from_millis(20);

/// Removes the records up to `upto`, and counts them in the same transactions, so that the numbers of the others stay.
///
/// Each transaction happens only if the base is the one that was read: a second trimmer, or a second attempt, changes nothing.
pub async fn trim(link: &Link, shard: &Shard, upto: Sequence) -> Result<(), LogError> {
    let until = Instant::now() + link.options.deadline;
    let late = || LogError::Unavailable("trimming takes too long".into());
    timeout_at(until, shard.reach(1)).await.map_err(|_| late())??;
    loop {
        let (base, first) = {
            let numbers = shard.numbers.lock();
            (numbers.base(), numbers.first(upto, RECORDS))
        };
        let Some((ids, left)) = first else { return Ok(()) };
        if Instant::now() >= until {
            return Err(late());
        }
        let key = link.keys.base(shard.id);
        let unchanged = match base == Base::default() {
            true => Condition::Absent(key.clone()),
            false => Condition::Holds(key.clone(), base.encode().into()),
        };
        let mut ops: Vec<Op> = ids.iter().map(|id| Op::Delete(link.keys.record(shard.id, *id))).collect();
        ops.push(Op::Put(key, left.encode().into()));
        let txn = Txn { when: vec![unchanged], then: ops, otherwise: Vec::new() };
        let answer = link.persist(link.options.deadline, &txn).await;
        let answer = answer.map_err(|failure| LogError::Unavailable(failure.to_string()))?;
        match answer.happened {
            true => timeout_at(until, shard.reach(answer.revision)).await.map_err(|_| late())??,
            // Somebody trimmed, perhaps we by an attempt whose answer was lost: the tracker will tell.
            false => sleep(PAUSE).await,
        }
    }
}
