//! STATUS (RFC 9051, 6.3.11) with HIGHESTMODSEQ (RFC 7162), APPENDLIMIT (RFC 7889), SIZE (RFC 8438), MAILBOXID (RFC 8474).

use crate::parser::{Parsed, Parser};
use crate::{Command, Mailbox};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub mailbox: Mailbox,
    /// In the order asked, doubles dropped. At least one.
    pub items: Vec<StatusItem>,
}

/// One thing to be told about a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    MailboxId,
    AppendLimit,
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
pub(super) fn parse(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let mailbox = parser.mailbox()?;
    parser.space()?;
    Ok(Command::Status(Status { mailbox, items: status_items(parser)? }))
}

/// `"(" status-att *(SP status-att) ")"`
pub(super) fn status_items(parser: &mut Parser<'_>) -> Parsed<Vec<StatusItem>> {
    let mut items = Vec::new();
    parser.list(|parser| {
        let item = status_item(parser)?;
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    Ok(items)
}

fn status_item(parser: &mut Parser<'_>) -> Parsed<StatusItem> {
    let start = parser.at();
    Ok(match parser.word().as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "SIZE" => StatusItem::Size,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        "MAILBOXID" => StatusItem::MailboxId,
        "APPENDLIMIT" => StatusItem::AppendLimit,
        _ => return Parser::expected_at(start, "a STATUS item"),
    })
}
