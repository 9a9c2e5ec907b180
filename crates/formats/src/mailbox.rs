//! An open mailbox, whatever its format.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use paquebot_types::{Flags, InternalDate, Keyword, ModSeq, Uid, UidSet, UidValidity};

use crate::error::FormatError;

/// What is known of a mailbox as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub uid_validity: UidValidity,
    /// Above every UID that was ever given out; `None` when they are used up.
    pub uid_next: Option<Uid>,
    /// The keywords that the mailbox knows, in the format's order: a message names them by their place.
    pub keywords: Vec<Keyword>,
    /// The highest mod-sequence, where the format keeps them.
    pub highest_modseq: Option<ModSeq>,
    /// Why no changes are made; `None` while they are.
    pub read_only: Option<String>,
}

impl State {
    /// A bit for each keyword that has a name. A damaged file sets others.
    pub(crate) fn named(&self) -> u128 {
        u32::try_from(self.keywords.len())
            .ok()
            .and_then(|count| 1_u128.checked_shl(count))
            .map_or(u128::MAX, |end| end - 1)
    }
}

/// A message, but for its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub uid: Uid,
    pub flags: Flags,
    /// Bit n: [`State::keywords`]`[n]`.
    pub keywords: u128,
    /// No session was told of it before this one.
    pub recent: bool,
    pub internal_date: InternalDate,
    /// Octets as IMAP shows them, lines ended by CR LF: RFC822.SIZE. `None` where only reading the message tells.
    pub size: Option<u64>,
    /// Where the format keeps mod-sequences.
    pub modseq: Option<ModSeq>,
}

/// A note at a mailbox (RFC 5464) or a message (RFC 5257).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// As `/comment`.
    pub entry: String,
    /// Whether everybody sees it, or only the user whose mailboxes are meant.
    pub shared: bool,
    pub value: Vec<u8>,
}

/// Whether messages that others have expunged may leave [`OpenMailbox::messages`] now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunged {
    Leave,
    Stay,
}

/// What has become different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Messages that there were and are not any more.
    pub expunged: UidSet,
    /// Messages whose flags or keywords are others.
    pub flags: UidSet,
    /// Messages that have come.
    pub arrived: UidSet,
    /// UIDVALIDITY is another, as after the file was replaced: nothing of before holds.
    pub all: bool,
}

/// The octets of a message as IMAP shows them. They stay readable for as long as this is there, or reading fails: never others.
pub trait Body: Send {
    /// How many octets there are.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many octets there are from `offset` on, of so many that are wanted.
    fn within(&self, offset: u64, wanted: usize) -> usize {
        usize::try_from(self.len().saturating_sub(offset)).map_or(wanted, |left| left.min(wanted))
    }

    /// Reads octets from `offset` on, as many as fit and there are; gives how many.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A message that is to be appended.
pub struct Arriving<'a> {
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    pub internal_date: InternalDate,
    pub body: &'a mut dyn Body,
    /// The UID that the message had elsewhere, in an export: taken if it is above all that there are.
    pub uid: Option<Uid>,
}

/// One mailbox, open. Sessions of one server share it: it is the server's one handle.
///
/// Each call takes the format's locks for its own time, and leaves a mailbox that the format's own programs read, also when the process is killed
/// in it. A change that gave `Ok` is on disk.
pub trait OpenMailbox: Send {
    fn state(&self) -> &State;

    /// By ascending UID, as of the last call that brought changes.
    fn messages(&self) -> &[Message];

    /// Looks what other programs have done meanwhile. Cheap when that is nothing.
    fn refresh(&mut self, expunged: Expunged) -> Result<Changes, FormatError>;

    fn body(&mut self, uid: Uid) -> Result<Box<dyn Body>, FormatError>;

    /// Gives messages these flags and keywords, which replace what they have. UIDs that there are not are passed over. Gives what changed, with what
    /// others did meanwhile.
    fn store(&mut self, changes: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError>;

    /// Appends all messages or none; gives their UIDs.
    fn append(&mut self, messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError>;

    /// Removes these messages, whatever their flags: the caller has judged `\Deleted`. Messages that another session still shows may keep their space.
    fn expunge(&mut self, uids: &UidSet) -> Result<Changes, FormatError>;

    /// Messages that are expunged and whose octets the format still keeps, for whoever brings back what was lost: no session shows them. By ascending
    /// UID; [`Self::body`] gives their octets too.
    fn expunged(&self) -> &[Message] {
        &[]
    }

    /// What is noted at a message; empty where the format keeps no notes.
    fn annotations(&mut self, _uid: Uid) -> Result<Vec<Annotation>, FormatError> {
        Ok(Vec::new())
    }

    /// Which files to watch for the changes of others, as a hint beside [`Self::refresh`].
    fn watched(&self) -> Vec<&Path>;

    /// How long until [`Self::refresh`] should be called without a hint.
    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// Whether another program has asked for the mailbox, by the format's own way: [`Self::give_up`] within some seconds is the answer. Where the mailbox was
    /// taken already, as by a newer handle of ours, there is nothing to answer: [`State::read_only`] says it after this call.
    fn asked_to_give_up(&mut self) -> bool {
        false
    }

    /// Becomes readable when [`Self::asked_to_give_up`] is to be called; nothing is to be read from it. `None`: nobody asks.
    fn take_over_signal(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Another session has asked for the mailbox, by the format's own way: what there is to save is saved, and from here on it is read-only.
    /// Nothing where many have it.
    fn give_up(&mut self) -> Result<(), FormatError> {
        Ok(())
    }
}
