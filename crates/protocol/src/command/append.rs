//! APPEND (RFC 9051, 6.3.12), MULTIAPPEND (RFC 3502), the UTF8 form (RFC 9755, 4).
//!
//! The framer shows an APPEND in pieces: [`crate::Event::Append`] before each message, [`crate::Event::AppendEnd`] after the last. The first
//! piece is for [`parse_append`], later ones for [`parse_append_next`], the end for [`parse_append_end`].

use paquebot_types::{Flags, InternalDate, Keyword};

use crate::{Mailbox, ParseContext, SyntaxError, Tag};

/// An APPEND up to its first message's literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendHead {
    pub tag: Tag,
    pub mailbox: Mailbox,
    pub message: AppendMessage,
}

/// What comes before a message's literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    pub flags: Flags,
    /// Each once.
    pub keywords: Vec<Keyword>,
    pub internal_date: Option<InternalDate>,
    pub form: AppendForm,
}

/// How the message is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendForm {
    /// `{n}`: no NUL in it.
    Literal,
    /// `~{n}` (RFC 3516, 4.4): NUL is allowed.
    Literal8,
    /// `UTF8 (~{n} ...)`: the message may have UTF-8 headers.
    Utf8,
}

/// Parses the first piece of an APPEND, [`crate::AppendStart::head`] with `first`.
pub fn parse_append(head: &[u8], context: &ParseContext) -> Result<AppendHead, SyntaxError> {
    let _ = (head, context);
    Err(SyntaxError { tag: None, command: Some("APPEND"), at: 0, fault: crate::Fault::UnknownCommand })
}

/// Parses what comes before another message of an APPEND (RFC 3502); `previous` is the form of the message before it. Positions in an error
/// count from the piece's first byte, and it has no tag.
pub fn parse_append_next(
    head: &[u8],
    previous: AppendForm,
    context: &ParseContext,
) -> Result<AppendMessage, SyntaxError> {
    let _ = (head, previous, context);
    Err(SyntaxError { tag: None, command: Some("APPEND"), at: 0, fault: crate::Fault::UnknownCommand })
}

/// Checks what follows an APPEND's last message, whose form is `previous`.
pub fn parse_append_end(rest: &[u8], previous: AppendForm) -> Result<(), SyntaxError> {
    let _ = (rest, previous);
    Ok(())
}
