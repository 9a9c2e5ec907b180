//! STORE (RFC 9051, 6.4.6) with UNCHANGEDSINCE (RFC 7162, 3.1.3).

use paquebot_types::{Flags, Keyword, ModSeq};

use crate::parser::{Parsed, Parser};
use crate::{Command, Messages, NumberKind};

/// STORE or UID STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub messages: Messages,
    pub unchanged_since: Option<ModSeq>,
    pub action: StoreAction,
    /// `.SILENT`: do not tell the new flags.
    pub silent: bool,
    pub flags: Flags,
    /// Each once.
    pub keywords: Vec<Keyword>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

/// `store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"] SP store-att-flags`
pub(super) fn parse(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Command> {
    parser.space()?;
    let messages = Messages { kind, set: parser.message_set()? };
    parser.space()?;
    let unchanged_since = match parser.peek() {
        Some(b'(') => Some(modifier(parser)?),
        _ => None,
    };
    let start = parser.at();
    let action = if parser.skip_byte(b'+') {
        StoreAction::Add
    } else if parser.skip_byte(b'-') {
        StoreAction::Remove
    } else {
        StoreAction::Replace
    };
    let silent = match parser.word().as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Parser::expected_at(start, "FLAGS, +FLAGS or -FLAGS"),
    };
    parser.space()?;
    let (flags, keywords) = match parser.peek() {
        Some(b'(') => parser.flag_list()?,
        _ => parser.bare_flags()?,
    };
    Ok(Command::Store(Store { messages, unchanged_since, action, silent, flags, keywords }))
}

/// `"(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" SP`
fn modifier(parser: &mut Parser<'_>) -> Parsed<ModSeq> {
    parser.open()?;
    let start = parser.at();
    if parser.word().as_str() != "UNCHANGEDSINCE" {
        return Parser::expected_at(start, "UNCHANGEDSINCE");
    }
    parser.space()?;
    let modseq = ModSeq(parser.number64()?);
    parser.close()?;
    parser.space()?;
    Ok(modseq)
}
