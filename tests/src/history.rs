//! What clients asked and what they were told, in real time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub type Token = u64;
pub type Uid = u32;
pub type Flags = BTreeSet<String>;

/// How an operation ended for the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Ok,
    /// It is not done and never will be.
    Fail,
    /// The connection ended before an answer.
    Unknown,
    /// It is not done and never will be, because the server cannot do such a thing now.
    Unavailable,
}

/// One thing that a client did. A was before B in real time if `A.returned < B.invoked`.
#[derive(Debug, Clone)]
pub struct Record {
    pub client: usize,
    pub invoked: u64,
    pub returned: u64,
    pub outcome: Outcome,
    pub event: Event,
}

#[derive(Debug, Clone)]
pub enum Event {
    /// Messages brought into a mailbox, in this order. Of an ok one `uids` are theirs, unless the protocol does not tell (LMTP).
    Add { mailbox: String, tokens: Vec<Token>, how: How, uids: Option<Vec<Uid>> },
    /// EXPUNGE (`None`: whatever is `\Deleted`), UID EXPUNGE, or the source of a MOVE.
    Remove { mailbox: String, uids: Option<Vec<Uid>>, needs_deleted: bool },
    /// The server has told that these are gone.
    Gone { mailbox: String, uids: Vec<Uid> },
    /// A flag was set or taken from messages.
    Flag { mailbox: String, uids: Vec<Uid>, flag: String, set: bool },
    /// A SELECT and a FETCH of everything.
    Seen(Observation),
    /// The same, of a server that said that it may not know the latest.
    Lagged(Observation),
    /// What each server shows of every mailbox while nobody changes anything.
    Replicas(BTreeMap<String, Vec<Observation>>),
    /// A SELECT with QRESYNC.
    Resync(Resync),
    /// A FETCH with CHANGEDSINCE.
    Changed { since: u64, answered: BTreeSet<Uid>, before: BTreeMap<Uid, Message>, gone: BTreeSet<Uid> },
    /// CREATE, DELETE, RENAME and APPEND in mailboxes that only this client touches.
    Name(NameChange),
    /// All mailboxes that only this client touches.
    Names(Names),
    /// A message that is not what was sent.
    Damaged(String),
    /// An answer that is no answer: BAD, a response that a strict parser refuses, nothing within the limit.
    Wrong(String),
    /// A connection that was made at `invoked` ended at `returned`, and not by this client.
    Lost,
    /// Something was done to a server, or to what it needs, and undone; what came to it is not the server's fault.
    Fault(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Append,
    Deliver,
    Copy,
    /// From this mailbox; the tokens' UIDs there.
    Move,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub token: Token,
    /// Of the whole message: what it must be for ever.
    pub hash: String,
    pub flags: Flags,
    pub modseq: u64,
}

#[derive(Debug, Clone)]
pub struct Observation {
    pub mailbox: String,
    pub validity: u32,
    pub uid_next: Uid,
    pub highest_modseq: u64,
    pub messages: BTreeMap<Uid, Message>,
}

/// What a client's cache became by the answer to SELECT with QRESYNC, and what a FETCH of everything said then.
#[derive(Debug, Clone)]
pub struct Resync {
    pub mailbox: String,
    pub highest_modseq: u64,
    /// The command and its answer.
    pub said: String,
    pub cache: BTreeMap<Uid, (Flags, u64)>,
    pub full: BTreeMap<Uid, Message>,
    /// Told to be gone after the SELECT.
    pub gone: BTreeSet<Uid>,
}

#[derive(Debug, Clone)]
pub enum NameChange {
    Create(String),
    Delete(String),
    Rename(String, String),
    Append { name: String, token: Token },
}

/// UIDVALIDITY and UID to token, of each mailbox by name.
pub type Names = BTreeMap<String, (u32, BTreeMap<Uid, Token>)>;

/// What one session heard, from SELECT to SELECT.
#[derive(Debug, Clone)]
pub enum Step {
    Select {
        exists: u32,
        qresync: bool,
    },
    /// A command begins; `by_number`: FETCH, STORE or SEARCH by message numbers.
    Command {
        text: String,
        by_number: bool,
    },
    Exists(u32),
    Expunge(u32),
    Vanished(Vec<Uid>),
    Fetch {
        number: u32,
        uid: Option<Uid>,
        flags: Option<Flags>,
    },
    /// Nobody changes anything and this session has done NOOP: a fresh one sees this.
    Settled(BTreeMap<Uid, Flags>),
}

#[derive(Debug, Default, Clone)]
pub struct History {
    pub records: Vec<Record>,
    /// Each session's steps, with its client.
    pub sessions: Vec<(usize, Vec<Step>)>,
}

/// Gathers a history from many threads.
#[derive(Debug, Default)]
pub struct Recorder {
    clock: AtomicU64,
    history: Mutex<History>,
}

impl Recorder {
    /// A moment: greater than each that was given before.
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    pub fn record(&self, client: usize, invoked: u64, outcome: Outcome, event: Event) {
        let returned = self.now();
        let record = Record { client, invoked, returned, outcome, event };
        self.history.lock().expect("no holder panics").records.push(record);
    }

    /// Records the two halves of a MOVE, one behind the other.
    pub fn record_move(&self, client: usize, invoked: u64, outcome: Outcome, add: Event, remove: Event) {
        let returned = self.now();
        let record = |event| Record { client, invoked, returned, outcome, event };
        self.history.lock().expect("no holder panics").records.extend([record(add), record(remove)]);
    }

    pub fn session(&self, client: usize, steps: Vec<Step>) {
        self.history.lock().expect("no holder panics").sessions.push((client, steps));
    }

    pub fn history(&self) -> History {
        self.history.lock().expect("no holder panics").clone()
    }
}

/// Where a message that is told by its UID alone stands in a view: where it is known to be, or among those that are not known, where its UID fits.
pub fn place_of(uid: Uid, numbers: &[Option<Uid>]) -> Option<usize> {
    if let Some(known) = numbers.iter().position(|known| *known == Some(uid)) {
        return Some(known);
    }
    let behind = numbers.iter().position(|known| known.is_some_and(|known| known > uid)).unwrap_or(numbers.len());
    numbers[..behind]
        .iter()
        .rposition(|known| known.is_none_or(|known| known < uid))
        .filter(|index| numbers[*index].is_none())
}
