//! The real etcd: its members' connections, and its words for ours.

mod connect;
mod watch;

use std::future::Future;
use std::sync::Arc;

use etcd_client::{AlarmAction, AlarmType, Client, Compare, CompareOp, Error, GetOptions, SortOrder, SortTarget};
use etcd_client::{TxnOp, TxnOpResponse, TxnResponse};
use paquebot_log::BoxFuture;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::failure::Failure;
use crate::kv::{Answer, Condition, Connection, Found, Kv, Op, Pair, Status, Txn, Watch};
use crate::options::Options;

pub use connect::connect;
use watch::Watches;

/// An answer of etcd has at most this many bytes: a page of the largest records, or the names of a million.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Connections to all members.
pub struct Members {
    options: Options,
    members: RwLock<Vec<Arc<Member>>>,
}

struct Member {
    endpoint: String,
    requests: Mutex<Option<Client>>,
    watches: Watches,
}

impl Members {
    pub fn new(options: &Options) -> Self {
        let members = Self { options: options.clone(), members: RwLock::default() };
        members.set_endpoints(&options.endpoints);
        members
    }

    /// Goes on with these members; connections to those that there were already stay.
    pub fn set_endpoints(&self, endpoints: &[String]) {
        let mut members = self.members.write();
        let known = std::mem::take(&mut *members);
        *members = endpoints
            .iter()
            .map(|endpoint| match known.iter().find(|member| member.endpoint == *endpoint) {
                Some(member) => member.clone(),
                None => Arc::new(Member {
                    endpoint: endpoint.clone(),
                    requests: Mutex::default(),
                    watches: Watches::new(endpoint.clone(), self.options.clone()),
                }),
            })
            .collect();
    }

    /// One whose number is past the last was asked for before there were fewer.
    fn member(&self, number: usize) -> Result<Arc<Member>, Failure> {
        let members = self.members.read();
        members.get(number).cloned().ok_or_else(|| Failure::NotDone("there is no such member any more".into()))
    }

    async fn ask<T, F>(&self, member: usize, call: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let member = self.member(member)?;
        let client = {
            let mut client = member.requests.lock().await;
            match &*client {
                Some(client) => client.clone(),
                None => {
                    let options = connect::options(&self.options, &member.endpoint);
                    let made = Client::connect([&member.endpoint], Some(options)).await.map_err(connecting)?;
                    client.insert(made).clone()
                }
            }
        };
        call(client).await.map_err(Failure::from)
    }
}

impl Kv for Members {
    fn endpoints(&self) -> Vec<String> {
        self.members.read().iter().map(|member| member.endpoint.clone()).collect()
    }

    fn txn(&self, member: usize, txn: Txn) -> BoxFuture<'_, Result<Answer, Failure>> {
        let request = etcd_client::Txn::new()
            .when(txn.when.into_iter().map(compare).collect::<Vec<_>>())
            .and_then(txn.then.into_iter().map(operation).collect::<Vec<_>>())
            .or_else(txn.otherwise.into_iter().map(operation).collect::<Vec<_>>());
        Box::pin(self.ask(member, |client| async move {
            Ok(answer(&client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX).txn(request).await?))
        }))
    }

    fn watch(&self, member: usize, prefix: String, from: i64) -> BoxFuture<'_, Result<Watch, Failure>> {
        Box::pin(async move { self.member(member)?.watches.begin(prefix, from).await })
    }

    fn status(&self, member: usize) -> BoxFuture<'_, Result<Status, Failure>> {
        Box::pin(self.ask(member, |mut client| async move {
            let status = client.status().await?;
            Ok(Status {
                version: status.version().into(),
                is_leader: status.header().is_some_and(|header| header.member_id() == status.leader()),
                file_bytes: bytes(status.db_size()),
                used_bytes: bytes(status.raft_used_db_size()),
                quota_bytes: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
                revision: status.header().map_or(0, |header| header.revision()),
            })
        }))
    }

    fn is_full(&self, member: usize) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(self.ask(member, |mut client| async move {
            let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await?;
            Ok(alarms.alarms().iter().any(|alarm| alarm.alarm() == AlarmType::Nospace))
        }))
    }

    fn compact(&self, member: usize, revision: i64) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.ask(member, move |mut client| async move { client.compact(revision, None).await.map(drop) }))
    }

    fn give_up(&self, member: usize, connection: Connection) {
        let Ok(member) = self.member(member) else { return };
        match connection {
            // Somebody who connects anew needs no other to do so.
            Connection::Requests => drop(member.requests.try_lock().map(|mut client| *client = None)),
            Connection::Watches => member.watches.give_up(),
        }
    }
}

/// Connecting carries no change.
fn connecting(error: Error) -> Failure {
    match Failure::from(error) {
        Failure::Unknown(said) => Failure::NotDone(said),
        failure => failure,
    }
}

fn compare(condition: Condition) -> Compare {
    match condition {
        Condition::Absent(key) => Compare::create_revision(key, CompareOp::Equal, 0),
        // A range fits if no key in it was ever made.
        Condition::NoneUnder(prefix) => Compare::create_revision(prefix, CompareOp::Equal, 0).with_prefix(),
        Condition::Holds(key, value) => Compare::value(key, CompareOp::Equal, value),
    }
}

fn operation(op: Op) -> TxnOp {
    let names = || GetOptions::new().with_keys_only();
    match op {
        Op::Put(key, value) => TxnOp::put(key, value, None),
        Op::Delete(key) => TxnOp::delete(key, None),
        Op::Get(key) => TxnOp::get(key, None),
        Op::Name(key) => TxnOp::get(key, Some(names())),
        Op::Names(prefix) => {
            TxnOp::get(prefix, Some(names().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend)))
        }
        Op::Count(prefix) => TxnOp::get(prefix, Some(GetOptions::new().with_prefix().with_count_only())),
    }
}

fn answer(response: &TxnResponse) -> Answer {
    let found = response.op_responses().into_iter().map(|answer| match answer {
        TxnOpResponse::Get(mut answer) => {
            let count = u64::try_from(answer.count()).unwrap_or(0);
            Found { pairs: answer.take_kvs().iter().map(pair).collect(), count }
        }
        _ => Found::default(),
    });
    let revision = response.header().map_or(0, |header| header.revision());
    Answer { happened: response.succeeded(), revision, found: found.collect() }
}

fn pair(kv: &etcd_client::KeyValue) -> Pair {
    Pair {
        key: kv.key().into(),
        value: kv.value().into(),
        made: kv.create_revision(),
        changed: kv.mod_revision(),
        version: kv.version(),
    }
}

fn bytes(told: i64) -> u64 {
    u64::try_from(told).unwrap_or(0)
}
