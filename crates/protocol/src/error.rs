//! What is wrong with a command, and where.

use std::fmt;

use crate::Tag;

/// A command that cannot be parsed: answered with `BAD`, under its tag where there is one (RFC 9051, 7.1.3).
///
/// `Display` gives the text for that answer, in ASCII without control characters: `FETCH: expected a message set at byte 8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// `None` if the line does not begin with a tag; the answer is then untagged.
    pub tag: Option<Tag>,
    /// The command's name once it is known.
    pub command: Option<&'static str>,
    /// The byte at which parsing stopped, from 0, counted from the tag's first byte; literals and their announcements count as sent.
    pub at: usize,
    pub fault: Fault,
}

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Something else was expected here.
    Expected(&'static str),
    /// More of something than the server takes; `NO [LIMIT]` says the same but the answer to bad syntax is `BAD`.
    TooMany { what: &'static str, max: usize },
    /// No command of this name.
    UnknownCommand,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(command) = self.command {
            write!(f, "{command}: ")?;
        }
        match self.fault {
            Fault::Expected(what) => write!(f, "expected {what} at byte {}", self.at),
            Fault::TooMany { what, max } => write!(f, "more than {max} {what} at byte {}", self.at),
            Fault::UnknownCommand => write!(f, "unknown command at byte {}", self.at),
        }
    }
}

impl std::error::Error for SyntaxError {}
