//! Reading a shard's keys.

use etcd_client::{
    Client, Error, GetOptions, GetResponse, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use paquebot_log::LogError;
use paquebot_model::{Record, RecordId};
use paquebot_types::{Sequence, ShardId};

use crate::change::{base, decode};
use crate::failure::Failure;
use crate::keys::{Base, ShardKey};
use crate::link::Link;
use crate::numbers::Retained;

/// Records that are asked for at once.
pub const PAGE: usize = 64;
/// An answer of etcd has at most this many bytes: a page of the largest records, or the names of a million.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;

/// What etcd holds of a shard at one revision.
pub struct Holding {
    pub revision: i64,
    pub base: Base,
    /// By ascending revision, without bodies.
    pub records: Vec<Retained>,
}

/// All names of a shard's records.
pub async fn holding(link: &Link, shard: ShardId) -> Result<Holding, LogError> {
    let sorted = GetOptions::new().with_prefix().with_keys_only().with_sort(SortTarget::Create, SortOrder::Ascend);
    let response = base_and_records(link, shard, sorted).await?;
    let [base_kvs, records] = answers(&response)?;
    let base = match base_kvs.kvs() {
        [] => Base::default(),
        [kv, ..] => base(kv.value())?,
    };
    let record = |kv: &etcd_client::KeyValue| match link.keys.parse(shard, kv.key()) {
        ShardKey::Record(id) => Some(Retained { revision: kv.create_revision(), id, bodies: None }),
        ShardKey::Base | ShardKey::Other => None,
    };
    let records: Vec<Retained> = records.kvs().iter().filter_map(record).collect();
    let first = records.first().map_or(i64::MAX, |record| record.revision);
    if base.revision >= first || !records.is_sorted_by(|a, b| a.revision < b.revision) {
        return Err(LogError::Lost(format!("the records of shard {shard} are not those that Paquebot made")));
    }
    Ok(Holding { revision: revision(&response), base, records })
}

/// The number of the last record that a quorum has.
pub async fn last(link: &Link, shard: ShardId) -> Result<Sequence, LogError> {
    let counted = GetOptions::new().with_prefix().with_count_only();
    let response = base_and_records(link, shard, counted).await?;
    let [base_kvs, records] = answers(&response)?;
    let trimmed = match base_kvs.kvs() {
        [] => 0,
        [kv, ..] => base(kv.value())?.count,
    };
    Ok(Sequence(trimmed + u64::try_from(records.count()).unwrap_or(0)))
}

/// These records; `Trimmed` when one of them is gone.
pub async fn records(link: &Link, shard: ShardId, ids: &[RecordId]) -> Result<Vec<Record>, LogError> {
    let keys: Vec<String> = ids.iter().map(|id| link.keys.record(shard, *id)).collect();
    let gets: Vec<TxnOp> = keys.iter().map(|key| TxnOp::get(key.as_str(), None)).collect();
    let response = ask(link, Txn::new().and_then(gets)).await?;
    let found = response.op_responses();
    let found = found.iter().zip(ids).map(|(answer, id)| match answer {
        TxnOpResponse::Get(answer) => match answer.kvs() {
            [kv, ..] => decode(*id, kv.value()),
            [] => Err(LogError::Trimmed(shard)),
        },
        _ => Err(strange()),
    });
    found.collect()
}

/// Both at one revision, as a quorum has it: a transaction that only reads is linearizable.
async fn base_and_records(link: &Link, shard: ShardId, records: GetOptions) -> Result<TxnResponse, LogError> {
    let base = TxnOp::get(link.keys.base(shard), None);
    let records = TxnOp::get(link.keys.records(shard), Some(records));
    ask(link, Txn::new().and_then([base, records])).await
}

async fn ask(link: &Link, txn: Txn) -> Result<TxnResponse, LogError> {
    let answer = link.persist(link.options.deadline, |client| send(client, txn.clone())).await;
    answer.map_err(|failure: Failure| LogError::Unavailable(failure.to_string()))
}

/// Sends a transaction whose answer may be long.
pub async fn send(client: Client, txn: Txn) -> Result<TxnResponse, Error> {
    client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX).txn(txn).await
}

pub fn revision(response: &TxnResponse) -> i64 {
    response.header().map_or(0, |header| header.revision())
}

fn answers(response: &TxnResponse) -> Result<[GetResponse; 2], LogError> {
    let mut answers = response.op_responses().into_iter().map(|answer| match answer {
        TxnOpResponse::Get(answer) => Some(answer),
        _ => None,
    });
    match (answers.next().flatten(), answers.next().flatten()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err(strange()),
    }
}

fn strange() -> LogError {
    LogError::Unavailable("etcd answered something else than it was asked".into())
}
