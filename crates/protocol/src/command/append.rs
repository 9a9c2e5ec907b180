//! APPEND (RFC 9051, 6.3.12), MULTIAPPEND (RFC 3502), the UTF8 form (RFC 9755, 4).
//!
//! The framer shows an APPEND in pieces: [`crate::Event::Append`] before each message, [`crate::Event::AppendEnd`] after the last. The first
//! piece is for [`parse_append`], later ones for [`parse_append_next`], the end for [`parse_append_end`].

use paquebot_types::{Flags, InternalDate, Keyword};

use super::{parse_tag, syntax_error};
use crate::date::parse_date_time;
use crate::parser::{Parsed, Parser, Stop};
use crate::{Fault, Mailbox, ParseContext, SyntaxError, Tag};

const NAME: &str = "APPEND";

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
    let mut parser = Parser::new(head, context);
    let tag = parse_tag(&mut parser)?;
    let at = parser.at();
    if !parser.skip_bytes(b"APPEND") {
        let stop = Stop { at, fault: Fault::UnknownCommand };
        return Err(syntax_error(Some(tag), None, stop));
    }
    match head_after_name(&mut parser) {
        Ok((mailbox, message)) => Ok(AppendHead { tag, mailbox, message }),
        Err(stop) => Err(syntax_error(Some(tag), Some(NAME), stop)),
    }
}

/// Parses what comes before another message of an APPEND (RFC 3502); `previous` is the form of the message before it. Positions in an error
/// count from the piece's first byte, and it has no tag.
pub fn parse_append_next(
    head: &[u8],
    previous: AppendForm,
    context: &ParseContext,
) -> Result<AppendMessage, SyntaxError> {
    let mut parser = Parser::new(head, context);
    let message = after_message(&mut parser, previous).and_then(|()| message_head(&mut parser));
    message.map_err(|stop| syntax_error(None, Some(NAME), stop))
}

/// Checks what follows an APPEND's last message, whose form is `previous`. Positions count from the piece's first byte.
pub fn parse_append_end(rest: &[u8], previous: AppendForm) -> Result<(), SyntaxError> {
    let context = ParseContext::default();
    let mut parser = Parser::new(rest, &context);
    let end = after_message(&mut parser, previous).and_then(|()| parser.end());
    end.map_err(|stop| syntax_error(None, Some(NAME), stop))
}

/// `append = "APPEND" SP mailbox 1*append-message`, the name already taken.
pub(super) fn head_after_name(parser: &mut Parser<'_>) -> Parsed<(Mailbox, AppendMessage)> {
    parser.space()?;
    let mailbox = parser.mailbox()?;
    Ok((mailbox, message_head(parser)?))
}

/// `append-message = SP [flag-list SP] [date-time SP] append-data`, the data up to its announcement, which ends the piece.
fn message_head(parser: &mut Parser<'_>) -> Parsed<AppendMessage> {
    parser.space()?;
    let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
    if parser.peek() == Some(b'(') {
        (flags, keywords) = parser.shown_flag_list()?;
        parser.space()?;
    }
    let mut internal_date = None;
    if parser.peek() == Some(b'"') {
        let start = parser.at();
        let Some(date) = parse_date_time(&parser.string("a date")?) else {
            return Parser::expected_at(start, "a date as \" 1-Feb-1994 22:43:04 -0800\"");
        };
        internal_date = Some(date);
        parser.space()?;
    }
    let form = if parser.skip_bytes(b"UTF8 (~") {
        AppendForm::Utf8
    } else if parser.skip_byte(b'~') {
        AppendForm::Literal8
    } else {
        AppendForm::Literal
    };
    parser.announcement()?;
    match parser.rest() {
        [] => Ok(AppendMessage { flags, keywords, internal_date, form }),
        _ => parser.expected("the end of the line after the message's size"),
    }
}

/// `UTF8 (...)` is closed after its literal.
fn after_message(parser: &mut Parser<'_>, previous: AppendForm) -> Parsed<()> {
    if previous == AppendForm::Utf8 { parser.close() } else { Ok(()) }
}
