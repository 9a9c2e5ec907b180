//! Where mail comes from.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use paquebot_formats::{Changes, FormatError, Found, Message, State};
use paquebot_types::{MailboxName, Uid, UidSet};
use tokio::sync::mpsc;

/// What a source gives once it has it.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// Why a source does not give something.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Format(#[from] FormatError),
    /// This cannot be read, and other mailboxes can.
    #[error("{0}")]
    Unreadable(String),
    /// Nothing more can be had from this source now: a connection ended, a login was refused.
    #[error("{0}")]
    Lost(String),
}

/// Whether the octets of a message that is at the target already are read again to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rereading {
    /// They are near: every message is compared by its hash.
    Cheap,
    /// They come over a network: UID, size and internal date tell whether it is the same.
    Dear,
}

/// The mail of one user, to be read.
pub trait Source: Send {
    /// As an operator knows it: `maildir /home/anna/Maildir`.
    fn name(&self) -> String;

    fn rereading(&self) -> Rereading;

    /// Every name, sorted; those that are no mailboxes, too.
    fn mailboxes(&mut self) -> Pending<'_, Vec<Found>>;

    /// A mailbox as it is now. Several may be open at a time; those of one connection share it.
    fn open<'a>(&'a mut self, name: &'a MailboxName) -> Pending<'a, Box<dyn SourceMailbox>>;
}

/// A mailbox of a source.
pub trait SourceMailbox: Send {
    fn state(&self) -> &State;

    /// By ascending UID, as of the last [`Self::refresh`].
    fn messages(&self) -> &[Message];

    /// Sends the octets of these messages, in the order of [`Self::messages`], one after the other: for each of them [`Piece::Whole`], or
    /// [`Piece::Begin`], [`Piece::Octets`] and [`Piece::End`], or [`Piece::Unreadable`] instead or in the midst. UIDs that there are not, or not any more,
    /// are passed over. Ends early without an error when nobody takes the pieces any more.
    fn bodies<'a>(&'a mut self, uids: &'a UidSet, pieces: mpsc::Sender<Piece>) -> Pending<'a, ()>;

    /// Looks what has changed since.
    fn refresh(&mut self) -> Pending<'_, Changes>;

    /// How long until it should be looked again.
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// What is kept of a mailbox that a target cannot keep, for the report: a line for each.
    fn remarks(&mut self) -> Pending<'_, Vec<(Option<Uid>, String)>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Octets of messages on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A message of [`Piece::WHOLE_BYTES`] or less.
    Whole { uid: Uid, octets: Bytes },
    /// A message of so many octets, lines ended by CR LF.
    Begin { uid: Uid, size: u64 },
    /// The next octets of it, [`Piece::OCTETS_BYTES`] or less.
    Octets(Bytes),
    /// That were all.
    End,
    /// The message cannot be read, or not to its end: what came of it is to be forgotten.
    Unreadable { uid: Uid, why: String },
}

impl Piece {
    /// A message that comes whole has so many octets, at most.
    pub const WHOLE_BYTES: usize = 256 << 10;
    /// Octets in one piece of another, at most.
    pub const OCTETS_BYTES: usize = 256 << 10;
}
