//! How far a session has come, and why it ends.

use std::io;
use std::sync::Arc;

use paquebot_auth::AccountGuard;
use paquebot_mailbox::{Account, Live, Snapshot};
use paquebot_protocol::response::Mode;
use paquebot_protocol::{MessageSet, NumberKind, SequenceSet};
use paquebot_types::{Keyword, MailboxName, ModSeq, UidSet};
use tokio::sync::watch;

use crate::machine::recent::Claim;
use crate::pass_on::PassedOn;
use crate::view::{NoSuchNumber, View};

/// What a command's answering comes to: the session goes on, or ends.
pub(crate) type Flow = Result<(), End>;

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// LOGOUT, answered.
    Logout,
    /// The client closed the connection.
    Left,
    /// The socket, TLS or the compression failed.
    Broken(io::Error),
    /// The client does not take what it asked for.
    SlowReader,
    /// BYE with this text, then the end. It is told as it is.
    Bye(String),
    /// The outcome of a change is not known: the connection is cut, since any tagged answer could be wrong.
    Unknown(String),
    /// Another node serves the session from here on.
    PassedOn(Box<PassedOn>),
}

/// How far a session has come.
pub(crate) enum State {
    NotAuthenticated,
    Authenticated(Identity),
    Selected(Identity, Box<Selected>),
}

impl State {
    /// Who the session acts for, once it is known.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::NotAuthenticated => None,
            Self::Authenticated(identity) | Self::Selected(identity, _) => Some(identity),
        }
    }

    /// Resolves when the account is not on this machine any more.
    pub(crate) async fn moved(&self) {
        match self.identity() {
            Some(identity) => identity.account.hosting().clone().over().await,
            None => std::future::pending().await,
        }
    }
}

/// Who a session acts for.
pub(crate) struct Identity {
    pub(crate) account: Account,
    /// The session's place among its account's.
    pub(crate) _place: AccountGuard,
}

/// What the client has asked for that lasts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Modes {
    /// UTF8=ACCEPT was enabled.
    pub(crate) utf8_accept: bool,
    pub(crate) rev2: bool,
    /// MODSEQ is told in every FETCH (RFC 7162, 3.1).
    pub(crate) condstore: bool,
    /// VANISHED is told in place of EXPUNGE.
    pub(crate) qresync: bool,
}

impl Modes {
    pub(crate) fn utf8(self) -> bool {
        self.utf8_accept || self.rev2
    }

    pub(crate) fn writing(self) -> Mode {
        Mode { utf8: self.utf8(), rev2: self.rev2 }
    }
}

/// What is told to a session when a newer one, or another program, changes the mailbox in its place.
pub(crate) const TAKEN: &str = "The mailbox was taken over, and is open for reading only";

/// The selected mailbox.
pub(crate) struct Selected {
    /// The name by which the client selected it.
    pub(crate) name: MailboxName,
    /// EXAMINE, or a mailbox that nobody changes here, or that another session has taken over.
    pub(crate) read_only: bool,
    /// What [`Snapshot::holder`] is for as long as no other session has.
    pub(crate) holder: u64,
    pub(crate) live: Arc<Live>,
    /// Rings when the mailbox changes.
    pub(crate) bell: watch::Receiver<Arc<Snapshot>>,
    pub(crate) view: View,
    /// Whether it is yet to be written down who was told of `\Recent` messages.
    pub(crate) claim: Claim,
    /// What the last SEARCH saved (RFC 9051, 6.4.4.1).
    pub(crate) saved: UidSet,
}

impl Selected {
    /// The messages of the view that a command names, as sequence numbers, ascending and without `*`.
    ///
    /// They hold until the view is next told of expunged messages, which is at the end of a command. UIDs that are not there are left out
    /// (RFC 9051, 6.4.9); a sequence number that is not there is the client's mistake.
    pub(crate) fn pick(&self, kind: NumberKind, set: &MessageSet) -> Result<SequenceSet, NoSuchNumber> {
        match set {
            MessageSet::Saved => Ok(self.view.numbers_of(&self.saved)),
            MessageSet::Numbers(set) => self.view.pick(kind, set),
        }
    }

    /// Whether this version of the mailbox says that the session may not change it any more.
    pub(crate) fn is_taken(&self, current: &Snapshot) -> bool {
        !self.read_only && (current.read_only.is_some() || current.holder != self.holder)
    }

    /// Why the session may not change the mailbox; `None` while it may.
    pub(crate) fn unchangeable(&self) -> Option<&'static str> {
        if self.is_taken(&self.live.current()) {
            return Some(TAKEN);
        }
        self.read_only.then_some("The mailbox is open for reading only")
    }

    /// The mailbox's keywords, by bit.
    pub(crate) fn keywords(&self) -> &[Keyword] {
        &self.view.snapshot().mailbox.keywords
    }

    /// The modseq up to which the view goes.
    pub(crate) fn highest_modseq(&self) -> ModSeq {
        self.view.snapshot().mailbox.highest_modseq
    }
}
