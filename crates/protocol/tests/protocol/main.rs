//! The crate as others see it: commands and responses from the RFCs' examples, malformed and hostile ones, and properties of all bytes.
#![allow(clippy::unwrap_used)]

mod append;
mod commands;
mod errors;
mod fetch;
mod hostile;
mod list;
mod properties;
mod responses;
mod search;
mod second_opinion;

use paquebot_protocol::{Command, Mailbox, ParseContext, SyntaxError, Tagged, parse};
use paquebot_types::MailboxName;

/// The command of a line without its tag.
fn command(line: &str) -> Command {
    parsed(line.as_bytes(), &ParseContext::default()).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// The same, where UTF-8 is enabled.
fn command_utf8(line: &str) -> Command {
    parsed(line.as_bytes(), &utf8()).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// The error for a line without its tag; positions count from the command's name.
fn error(line: &str) -> (usize, String) {
    let error = parsed(line.as_bytes(), &ParseContext::default())
        .map_or_else(|error| error, |command| panic!("{line:?} is taken as {command:?}"));
    assert_eq!(error.tag.as_ref().map(|tag| tag.as_str()), Some("a"));
    let text = error.to_string();
    let message = text.rsplit_once(" at byte ").map_or(text.as_str(), |(message, _)| message);
    (error.at.checked_sub(2).unwrap(), message.into())
}

fn parsed(line: &[u8], context: &ParseContext) -> Result<Command, SyntaxError> {
    let tagged = parse(&[b"a ", line].concat(), context)?;
    let Tagged { tag, command } = tagged;
    assert_eq!(tag.as_str(), "a");
    Ok(command)
}

fn utf8() -> ParseContext {
    ParseContext { utf8: true, ..ParseContext::default() }
}

fn mailbox(name: &str) -> Mailbox {
    Ok(MailboxName::new(name).unwrap())
}
