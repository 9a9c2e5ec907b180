//! Mailboxes in use: one shared, current version of each, and a bell.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use paquebot_model::{RowChange, key};
use paquebot_replica::Hosting;
use paquebot_store::Store;
use paquebot_types::{Sequence, ShardId, Uid};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::error::ServiceError;
use crate::foreign::{ForeignMailbox, blocking};
use crate::snapshot::{MailboxKey, Snapshot};

/// Messages of mailboxes that nobody has open any more and that are kept nevertheless, so that the next SELECT finds them: some 72 octets each.
const KEPT_MESSAGES: u32 = 250_000;
/// Mailboxes kept so, at most.
const KEPT_MAILBOXES: usize = 1000;

/// A mailbox that some session has open.
#[derive(Debug)]
pub struct Live {
    pub at: MailboxKey,
    current: watch::Sender<Arc<Snapshot>>,
    /// The first UID that no session was told of as `\Recent` yet.
    recent_from: AtomicU32,
    foreign: Option<ForeignMailbox>,
}

impl Live {
    pub(crate) fn new(at: MailboxKey, snapshot: Snapshot, recent_from: u32, foreign: Option<ForeignMailbox>) -> Self {
        let (current, recent_from) = (watch::Sender::new(Arc::new(snapshot)), AtomicU32::new(recent_from));
        Self { at, current, recent_from, foreign }
    }

    pub(crate) fn foreign(&self) -> Option<&ForeignMailbox> {
        self.foreign.as_ref()
    }

    /// Makes the next version out of the current one.
    pub(crate) fn replace(&self, change: impl FnOnce(&mut Snapshot)) {
        self.current.send_modify(|current| change(Arc::make_mut(current)));
    }

    /// Looks what other programs have done to the mailbox, if its files are theirs too; what it finds comes as any change does.
    pub fn look(&self) {
        let Some(foreign) = &self.foreign else { return };
        if let Err(error) = blocking(|| foreign.look(self)) {
            tracing::warn!(mailbox = ?foreign, error = &error as &dyn std::error::Error, "cannot be looked at");
        }
    }

    /// Makes the caller the one session that changes the mailbox, where its format has one: the session before is read-only from here on. Gives what
    /// [`Snapshot::holder`] is for as long as that lasts; 0 where many may change it.
    pub fn take_over(&self) -> u64 {
        self.foreign.as_ref().map_or(0, |foreign| foreign.take_over(self))
    }

    /// The current version, and a bell that rings for each later one.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    pub fn current(&self) -> Arc<Snapshot> {
        self.current.borrow().clone()
    }

    /// The first UID that is `\Recent`, as it would be for a session that asked now.
    pub fn recent_from(&self) -> u32 {
        self.recent_from.load(Ordering::Relaxed)
    }

    /// Takes the `\Recent` messages below `below` for one session: no other session gets them. Gives the first of them.
    pub fn claim_recent(&self, below: Option<Uid>) -> u32 {
        self.recent_from.fetch_max(below.map_or(u32::MAX, Uid::get), Ordering::Relaxed)
    }
}

fn read(store: &Store, at: MailboxKey) -> Result<(Sequence, Option<Snapshot>), ServiceError> {
    let txn = store.read()?;
    Ok((txn.applied(at.shard)?.sequence, Snapshot::load(&txn, at)?))
}

/// What a record changed, for a mailbox that is being read from the index meanwhile.
type Missed = Vec<(Sequence, Vec<RowChange>)>;

enum Entry {
    Loading(Missed),
    Open(Weak<Live>),
}

/// All mailboxes in use on this node.
#[derive(Default)]
pub struct Registry {
    entries: Mutex<HashMap<MailboxKey, Entry>>,
    loaded: Condvar,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    mailboxes: VecDeque<Arc<Live>>,
}

impl Registry {
    /// The mailbox, read from the index unless somebody has it open; `None` if there is none.
    pub fn open(&self, store: &Store, at: MailboxKey, hosting: &Hosting) -> Result<Option<Arc<Live>>, ServiceError> {
        let mut entries = self.entries.lock();
        loop {
            match entries.get(&at) {
                Some(Entry::Open(live)) => match live.upgrade() {
                    Some(live) => return Ok(Some(live)),
                    None => break,
                },
                Some(Entry::Loading(_)) => self.loaded.wait(&mut entries),
                None => break,
            }
        }
        // From here on the changes of later records are kept for this mailbox, so that none falls between the reading and the opening.
        entries.insert(at, Entry::Loading(Vec::new()));
        drop(entries);
        let read = read(store, at);
        let mut entries = self.entries.lock();
        let missed = match entries.remove(&at) {
            Some(Entry::Loading(missed)) => missed,
            _ => Vec::new(),
        };
        self.loaded.notify_all();
        // Whoever ends the hosting closes the shard's entries after that: what is entered now would stay.
        if hosting.is_over() {
            return Err(ServiceError::NotHosted(at.shard));
        }
        let (sequence, snapshot) = read?;
        let Some(mut snapshot) = snapshot else { return Ok(None) };
        for (_, changes) in missed.iter().filter(|(later, _)| *later > sequence) {
            snapshot = snapshot.with_changes(at.mailbox, changes);
        }
        let recent_from = snapshot.mailbox.recent_from;
        let live = Arc::new(Live::new(at, snapshot, recent_from, None));
        entries.insert(at, Entry::Open(Arc::downgrade(&live)));
        drop(entries);
        self.keep(&live);
        Ok(Some(live))
    }

    /// Keeps a mailbox for a while after its last session has left it.
    fn keep(&self, live: &Arc<Live>) {
        let mut let_go = Vec::new();
        let mut kept = self.kept.lock();
        kept.mailboxes.push_front(live.clone());
        let mut messages = 0u32;
        let full = |(index, live): (usize, &Arc<Live>)| {
            messages = messages.saturating_add(live.current.borrow().messages.len());
            (messages > KEPT_MESSAGES && index > 0) || index >= KEPT_MAILBOXES
        };
        if let Some(at) = kept.mailboxes.iter().enumerate().position(full) {
            let_go.extend(kept.mailboxes.drain(at..));
        }
        drop(kept);
        drop(let_go);
        let mut entries = self.entries.lock();
        if entries.len() > 2 * KEPT_MAILBOXES {
            entries.retain(|_, entry| !matches!(entry, Entry::Open(live) if live.strong_count() == 0));
        }
    }

    /// Forgets the mailboxes of a shard that is not hosted any more. Sessions that have one open keep it as it is, until they end.
    pub fn close(&self, shard: ShardId) {
        // One that is being read is not entered: its reader sees that the hosting is over.
        self.entries.lock().retain(|at, entry| at.shard != shard || matches!(entry, Entry::Loading(_)));
        let mut kept = self.kept.lock();
        let (let_go, stay) = std::mem::take(&mut kept.mailboxes).into_iter().partition(|live| live.at.shard == shard);
        kept.mailboxes = stay;
        drop(kept);
        // Its messages may be many: not under the lock.
        drop::<VecDeque<Arc<Live>>>(let_go);
    }

    /// Brings the mailboxes in use up to a record that has just been applied.
    pub fn applied(&self, shard: ShardId, sequence: Sequence, changes: &[RowChange]) {
        let mut touched: HashMap<MailboxKey, Vec<&RowChange>> = HashMap::new();
        for change in changes {
            let row = key::parse_account_row(&change.key);
            if let Some((account, key::AccountRow::Mailbox(mailbox) | key::AccountRow::Page(mailbox, _))) = row {
                touched.entry(MailboxKey { shard, account, mailbox }).or_default().push(change);
            }
        }
        for (at, changes) in touched {
            let live = match self.entries.lock().get_mut(&at) {
                Some(Entry::Loading(missed)) => {
                    missed.push((sequence, changes.into_iter().cloned().collect()));
                    continue;
                }
                Some(Entry::Open(live)) => live.upgrade(),
                None => None,
            };
            if let Some(live) = live {
                let next = live.current.borrow().with_changes(at.mailbox, changes);
                live.current.send_replace(Arc::new(next));
            }
        }
    }
}
