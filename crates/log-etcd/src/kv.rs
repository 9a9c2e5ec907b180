//! What the engine asks of etcd, in words of its own: the seam behind which a simulated etcd can stand.

use paquebot_log::BoxFuture;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// The members of an etcd cluster, by number. Each call is one attempt, which the caller limits in time: what a call that is given up has sent may
/// still be carried out.
pub trait Kv: Send + Sync {
    /// The members' addresses.
    fn endpoints(&self) -> Vec<String>;

    /// Linearizable, all of it or nothing.
    fn txn(&self, member: usize, txn: Txn) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// What happens to the keys under `prefix` at `from` and later, revision by revision.
    fn watch(&self, member: usize, prefix: String, from: i64) -> BoxFuture<'_, Result<Watch, Failure>>;

    fn status(&self, member: usize) -> BoxFuture<'_, Result<Status, Failure>>;

    /// Whether etcd has raised the alarm that its quota is used up.
    fn is_full(&self, member: usize) -> BoxFuture<'_, Result<bool, Failure>>;

    /// Forgets history before `revision`.
    fn compact(&self, member: usize, revision: i64) -> BoxFuture<'_, Result<(), Failure>>;

    /// The member did not answer, or its watches lag: whoever asks next makes a new connection.
    fn give_up(&self, member: usize, connection: Connection);
}

/// Requests and watches have connections of their own, so that watches that nobody reads cannot keep answers from coming through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    Requests,
    Watches,
}

/// A watch's events. It ends without a word when its reader was too slow, and is then begun again where it ended.
pub type Watch = mpsc::Receiver<Result<Vec<Event>, WatchEnded>>;

/// Why a watch ends.
#[derive(Debug, Clone)]
pub enum WatchEnded {
    /// Begin again where it ended.
    Broken(Failure),
    /// What was to come next is forgotten.
    Compacted,
}

#[derive(Debug, Clone, Default)]
pub struct Txn {
    pub when: Vec<Condition>,
    /// Done if all conditions hold.
    pub then: Vec<Op>,
    /// Done if not.
    pub otherwise: Vec<Op>,
}

#[derive(Debug, Clone)]
pub enum Condition {
    Absent(String),
    /// No key begins with this.
    NoneUnder(String),
    Holds(String, Vec<u8>),
}

#[derive(Debug, Clone)]
pub enum Op {
    Put(String, Vec<u8>),
    Delete(String),
    Get(String),
    /// As `Get`, without the value.
    Name(String),
    /// The names under a prefix, by the revisions that made them.
    Names(String),
    /// How many names are under a prefix.
    Count(String),
}

#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether the conditions held.
    pub happened: bool,
    pub revision: i64,
    /// What each operation found.
    pub found: Vec<Found>,
}

#[derive(Debug, Clone, Default)]
pub struct Found {
    pub pairs: Vec<Pair>,
    pub count: u64,
}

/// A key and its value.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// The revisions that made the key and that changed it last.
    pub made: i64,
    pub changed: i64,
    /// How often it was changed since it was made.
    pub version: i64,
}

#[derive(Debug, Clone)]
pub enum Event {
    Put(Pair),
    Delete(Pair),
}

/// What a member tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub version: String,
    pub is_leader: bool,
    pub file_bytes: u64,
    pub used_bytes: u64,
    /// `None`: it does not tell.
    pub quota_bytes: Option<u64>,
    pub revision: i64,
}

impl Txn {
    /// One that only reads.
    pub fn reading(ops: Vec<Op>) -> Self {
        Self { then: ops, ..Self::default() }
    }
}

impl Answer {
    /// What the operation of this number found, if it found one pair.
    pub fn pair(&self, operation: usize) -> Option<&Pair> {
        self.found.get(operation)?.pairs.first()
    }
}
