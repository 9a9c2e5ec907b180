//! Reading a shard's keys.

use paquebot_log::LogError;
use paquebot_model::{Record, RecordId};
use paquebot_types::{Sequence, ShardId};

use crate::change::{base, decode};
use crate::keys::{Base, ShardKey};
use crate::kv::{Answer, Op, Pair, Txn};
use crate::link::Link;
use crate::numbers::Retained;

/// Records that are asked for at once.
pub const PAGE: usize = 64;

/// What etcd holds of a shard at one revision.
pub struct Holding {
    pub revision: i64,
    pub base: Base,
    /// By ascending revision, without bodies.
    pub records: Vec<Retained>,
}

/// All names of a shard's records.
pub async fn holding(link: &Link, shard: ShardId) -> Result<Holding, LogError> {
    let answer = ask(link, vec![Op::Get(link.keys.base(shard)), Op::Names(link.keys.records(shard))]).await?;
    let base = answer.pair(0).map_or(Ok(Base::default()), |pair| base(&pair.value))?;
    let record = |pair: &Pair| match link.keys.parse(shard, &pair.key) {
        ShardKey::Record(id) => Some(Retained { revision: pair.made, id, bodies: None }),
        ShardKey::Base | ShardKey::Other => None,
    };
    let names = answer.found.get(1).map_or(&[][..], |found| &found.pairs);
    let records: Vec<Retained> = names.iter().filter_map(record).collect();
    let first = records.first().map_or(i64::MAX, |record| record.revision);
    if base.revision >= first || !records.is_sorted_by(|a, b| a.revision < b.revision) {
        return Err(LogError::Lost(format!("the records of shard {shard} are not those that Paquebot made")));
    }
    Ok(Holding { revision: answer.revision, base, records })
}

/// The number of the last record that a quorum has.
pub async fn last(link: &Link, shard: ShardId) -> Result<Sequence, LogError> {
    let answer = ask(link, vec![Op::Get(link.keys.base(shard)), Op::Count(link.keys.records(shard))]).await?;
    let trimmed = answer.pair(0).map_or(Ok(0), |pair| base(&pair.value).map(|base| base.count))?;
    Ok(Sequence(trimmed + answer.found.get(1).map_or(0, |found| found.count)))
}

/// These records; `Trimmed` when one of them is gone.
pub async fn records(link: &Link, shard: ShardId, ids: &[RecordId]) -> Result<Vec<Record>, LogError> {
    let gets = ids.iter().map(|id| Op::Get(link.keys.record(shard, *id))).collect();
    let answer = ask(link, gets).await?;
    let found = ids.iter().enumerate().map(|(number, id)| match answer.pair(number) {
        Some(pair) => decode(*id, &pair.value),
        None => Err(LogError::Trimmed(shard)),
    });
    found.collect()
}

/// All at one revision, as a quorum has it: a transaction that only reads is linearizable.
async fn ask(link: &Link, ops: Vec<Op>) -> Result<Answer, LogError> {
    let (count, answer) = (ops.len(), link.persist(link.options.deadline, &Txn::reading(ops)).await);
    let answer = answer.map_err(|failure| LogError::Unavailable(failure.to_string()))?;
    match answer.found.len() == count {
        true => Ok(answer),
        false => Err(LogError::Unavailable("etcd answered something else than it was asked".into())),
    }
}
