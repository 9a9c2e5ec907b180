//! What a session's client has been told of its mailbox, and what it may be told when. No I/O.

use std::sync::Arc;

use paquebot_mailbox::{PageTree, Snapshot};
use paquebot_model::Message;
use paquebot_protocol::{NumberKind, SequenceSet};
use paquebot_types::{SeqNum, Uid, UidRange, UidSet};

/// Whether a client may be told now that messages are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expunges {
    Tell,
    /// FETCH, STORE and SEARCH by sequence number: the client's numbers must not move (RFC 9051, 7.5.1).
    Hold,
}

impl Expunges {
    /// What may be told after FETCH, STORE or SEARCH with these numbers: with UIDs they are other commands.
    pub(crate) fn after(kind: NumberKind) -> Self {
        match kind {
            NumberKind::Uid => Self::Tell,
            NumberKind::SeqNum => Self::Hold,
        }
    }
}

/// The client named a sequence number that it was never told of: BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no message with the sequence number {0}")]
pub(crate) struct NoSuchNumber(u32);

/// A mailbox as one client knows it.
///
/// Messages that are gone stay in it, as ghosts, until the client may be told: they can still be fetched.
#[derive(Debug)]
pub(crate) struct View {
    /// What the client knows: its sequence numbers are places in this.
    messages: PageTree,
    /// The version up to which `messages` goes.
    snapshot: Arc<Snapshot>,
    /// Messages in `messages` that are not in the snapshot, ascending.
    ghosts: Vec<Message>,
    /// What is `\Recent` to this session (RFC 3501, 2.3.2).
    recent: UidSet,
    /// How many of the mailbox's keywords the client has been told of by FLAGS.
    told_keywords: usize,
}

/// What the client is to be told, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    /// Ascending, with the numbers before any of them goes.
    pub(crate) expunged: Vec<(SeqNum, Uid)>,
    /// FLAGS and PERMANENTFLAGS: there are new keywords.
    pub(crate) keywords: bool,
    /// EXISTS, and RECENT.
    pub(crate) exists: Option<u32>,
    /// FETCH with FLAGS; ascending.
    pub(crate) changed: Vec<(SeqNum, Message)>,
}

impl View {
    /// A view of everything in the snapshot.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        let told_keywords = snapshot.mailbox.keywords.len();
        let messages = snapshot.messages.clone();
        Self { messages, snapshot, ghosts: Vec::new(), recent: UidSet::new(), told_keywords }
    }

    /// The messages as the client knows them, ghosts included. Flags of a ghost are those that it had last.
    pub(crate) fn messages(&self) -> &PageTree {
        &self.messages
    }

    /// The version up to which the view goes.
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Whether the message is gone and the client does not know it.
    pub(crate) fn is_ghost(&self, uid: Uid) -> bool {
        self.ghosts.binary_search_by_key(&uid, |ghost| ghost.uid).is_ok()
    }

    pub(crate) fn has_ghosts(&self) -> bool {
        !self.ghosts.is_empty()
    }

    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// How many of the view's messages are `\Recent`.
    pub(crate) fn recent_count(&self) -> u32 {
        let count = |range: &UidRange| self.rank_after(range.last) - self.messages.rank(range.first);
        self.recent.ranges().iter().map(count).sum()
    }

    /// Makes messages `\Recent` to this session.
    pub(crate) fn add_recent(&mut self, from: u32, below: Option<Uid>) {
        let last = below.map_or(u32::MAX, |below| below.get() - 1);
        if let (Some(first), Some(last)) = (Uid::new(from), Uid::new(last))
            && first <= last
        {
            self.recent = self.recent.union(&UidSet::from_ranges(vec![UidRange { first, last }]));
        }
    }

    fn rank_after(&self, uid: Uid) -> u32 {
        uid.next().map_or(self.messages.len(), |next| self.messages.rank(next))
    }

    /// The messages that a set names, as sequence numbers.
    pub(crate) fn pick(&self, kind: NumberKind, set: &SequenceSet) -> Result<SequenceSet, NoSuchNumber> {
        match kind {
            NumberKind::Uid => Ok(self.numbers_of(&set.to_uids(self.messages.last().map(|message| message.uid)))),
            NumberKind::SeqNum => {
                let len = self.messages.len();
                if set.highest() > len {
                    return Err(NoSuchNumber(set.highest()));
                }
                // `*` in an empty mailbox names nothing either.
                if len == 0 && set.open_from().is_some() {
                    return Err(NoSuchNumber(1));
                }
                let mut picked = SequenceSet::new();
                // A lone `*` resolves to all from the last on.
                for range in set.resolve(Some(len)) {
                    picked.insert(range.first, range.last.min(len));
                }
                Ok(picked)
            }
        }
    }

    /// The sequence numbers of those of these UIDs that are in the view. O(ranges).
    pub(crate) fn numbers_of(&self, uids: &UidSet) -> SequenceSet {
        let mut numbers = SequenceSet::new();
        for range in uids.ranges() {
            let (first, last) = (self.messages.rank(range.first) + 1, self.rank_after(range.last));
            if first <= last {
                numbers.insert(first, last);
            }
        }
        numbers
    }

    /// The messages with these sequence numbers, which are in the view, ascending.
    pub(crate) fn picked<'a>(&'a self, numbers: &'a SequenceSet) -> impl Iterator<Item = (SeqNum, &'a Message)> {
        numbers.ranges().iter().filter_map(|range| Some((SeqNum::new(range.first)?, range.last))).flat_map(
            move |(first, last)| self.messages.iter_from(first).take_while(move |(number, _)| number.get() <= last),
        )
    }

    /// The UIDs of these sequence numbers. O(messages).
    pub(crate) fn uids_of(&self, numbers: &SequenceSet) -> UidSet {
        self.picked(numbers).map(|(_, message)| message.uid).collect()
    }

    /// Those of these UIDs that are not in the view. What is in it the client counts, so it is never told to have gone earlier: a message that went after
    /// the view was made is told when the view next changes.
    pub(crate) fn without_messages_in_it(&self, uids: UidSet) -> UidSet {
        let in_view = self.numbers_of(&uids);
        if in_view.is_empty() {
            return uids;
        }
        let in_view = self.uids_of(&in_view);
        uids.iter().filter(|uid| !in_view.contains(*uid)).collect()
    }

    /// Goes to a later version of the mailbox; gives what the client is to be told of it.
    pub(crate) fn refresh(&mut self, new: Arc<Snapshot>, expunges: Expunges) -> Update {
        if Arc::ptr_eq(&self.snapshot, &new) && (self.ghosts.is_empty() || expunges == Expunges::Hold) {
            return Update::default();
        }
        let diff = self.messages.diff(&new.messages);
        let expunged = match expunges {
            Expunges::Tell => {
                self.ghosts.clear();
                self.messages = new.messages.clone();
                diff.expunged
            }
            Expunges::Hold => {
                self.ghosts = diff.expunged.iter().filter_map(|(_, uid)| self.messages.find(*uid).copied()).collect();
                self.messages = match self.ghosts.is_empty() {
                    true => new.messages.clone(),
                    false => new.messages.with_messages(&self.ghosts),
                };
                Vec::new()
            }
        };
        let keywords = new.mailbox.keywords.len() > self.told_keywords;
        self.told_keywords = new.mailbox.keywords.len();
        self.snapshot = new;
        let numbered = |uid: &Uid| Some((self.messages.number_of(*uid)?, *self.messages.find(*uid)?));
        Update {
            expunged,
            keywords,
            exists: (!diff.added.is_empty()).then(|| self.messages.len()),
            changed: diff.changed.iter().filter_map(numbered).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
