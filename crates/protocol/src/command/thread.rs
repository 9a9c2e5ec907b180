//! THREAD (RFC 5256).

use super::search::{charset, program};
use crate::command::SearchKey;
use crate::parser::{Parsed, Parser};
use crate::{Command, NumberKind};

/// THREAD or UID THREAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub kind: NumberKind,
    pub algorithm: ThreadAlgorithm,
    /// In upper case; of all texts in `keys`.
    pub charset: String,
    pub keys: SearchKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    OrderedSubject,
    References,
}

/// `thread = "THREAD" SP thread-alg SP charset SP search-key *(SP search-key)`
pub(super) fn parse(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Command> {
    parser.space()?;
    let start = parser.at();
    let algorithm = match parser.word().as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        _ => return Parser::expected_at(start, "ORDEREDSUBJECT or REFERENCES"),
    };
    parser.space()?;
    let charset = charset(parser)?;
    parser.space()?;
    Ok(Command::Thread(Thread { kind, algorithm, charset, keys: program(parser)? }))
}
