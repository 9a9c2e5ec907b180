//! What a framer tells.

use crate::Tag;

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole command for [`crate::parse`]: without its final line end, with its literals and their announcements as sent.
    Command(&'a [u8]),
    /// The client asks to send a literal that belongs to its command. Write a continuation request (`+ ...`), or [`crate::Framer::refuse`] it.
    Literal {
        /// The command so far, the announcement included: enough to refuse a LOGIN before its password is sent.
        head: &'a [u8],
        size: u64,
    },
    /// A message of an APPEND is about to come: see [`AppendStart`]. [`Event::Data`] follows, then [`Event::DataEnd`].
    Append(AppendStart<'a>),
    /// Octets of the message, straight from the input. Never empty.
    Data(&'a [u8]),
    /// The message is whole. [`Event::Append`] for the next message, or [`Event::AppendEnd`] follows.
    DataEnd,
    /// The APPEND ends; the rest of its line, for [`crate::command::parse_append_end`].
    AppendEnd(&'a [u8]),
    /// The command that was refused has been read to its end: answer it now.
    Refused,
    /// The line after [`crate::Framer::expect_line`], without its end.
    Line(&'a [u8]),
    /// A command outside the limits. It has been read to its end and forgotten, and so has the APPEND that it may have been the rest of: answer BAD.
    Bad {
        /// `None` if it did not begin with a tag.
        tag: Option<Tag>,
        error: FrameError,
    },
    /// Not to be served further: say BYE with this reason and close. Every later call gives the same.
    Fatal(FatalError),
}

/// A message of an APPEND, announced and not sent yet.
///
/// If `synchronizing`, write a continuation request to have it sent. [`crate::Framer::refuse`] says that it is not wanted; the next events then
/// are the end of draining, at once for a synchronising literal, and [`Event::Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendStart<'a> {
    /// For the first message the command from its tag on, for [`crate::command::parse_append`]; for others what follows the last one, for
    /// [`crate::command::parse_append_next`]. Ends with the announcement.
    pub head: &'a [u8],
    /// Whether this is the command's first message.
    pub first: bool,
    pub size: u64,
    pub synchronizing: bool,
    /// Over [`crate::Limits::append_bytes`]: answer `NO [TOOBIG]`. It counts as refused in any case.
    pub too_big: bool,
}

/// Which limit a command broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the command line has more than {max} octets")]
    LineTooLong { max: usize },
    #[error("a literal of this command has more than {max} octets")]
    LiteralTooBig { max: u64 },
    #[error("the literals of this command have more than {max} octets")]
    LiteralsTooBig { max: u64 },
    #[error("the command has more than {max} literals")]
    TooManyLiterals { max: usize },
    #[error("a literal of more than {max} octets must wait for a continuation")]
    NonSyncTooBig { max: u64 },
}

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FatalError {
    #[error("more was sent without asking than is thrown away")]
    TooMuch,
    #[error("a line has more than {max} octets")]
    LineTooLong { max: usize },
    #[error("this is an IMAP server, not HTTP")]
    Http,
    #[error("this port expects plain text; TLS begins with STARTTLS here")]
    Tls,
}
