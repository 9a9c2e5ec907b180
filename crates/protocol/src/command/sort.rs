//! SORT (RFC 5256) with RETURN (RFC 5267, 3).

use super::search::{charset, program};
use crate::command::{ReturnOptions, SearchKey};
use crate::parser::{Parsed, Parser};
use crate::{Command, NumberKind};

/// SORT or UID SORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    pub kind: NumberKind,
    /// ESORT's RETURN; `None`: answer with `SORT`.
    pub returns: Option<ReturnOptions>,
    /// At least one; ties go to the next, and at last to the sequence number.
    pub criteria: Vec<SortCriterion>,
    /// In upper case; of all texts in `keys`.
    pub charset: String,
    pub keys: SearchKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    pub key: SortKey,
    pub reverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    /// RFC 5957: the name that the first From address shows.
    DisplayFrom,
    DisplayTo,
    From,
    Size,
    Subject,
    To,
}

/// `sort = "SORT" [SP search-return-opts] SP "(" sort-criterion *(SP sort-criterion) ")" SP search-criteria`
pub(super) fn parse(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Command> {
    parser.space()?;
    let returns = ReturnOptions::parse(parser)?;
    let mut criteria = Vec::new();
    parser.list(|parser| {
        criteria.push(criterion(parser)?);
        Ok(())
    })?;
    parser.space()?;
    let charset = charset(parser)?;
    parser.space()?;
    Ok(Command::Sort(Sort { kind, returns, criteria, charset, keys: program(parser)? }))
}

/// `sort-criterion = ["REVERSE" SP] sort-key`
fn criterion(parser: &mut Parser<'_>) -> Parsed<SortCriterion> {
    let reverse = parser.skip_bytes(b"REVERSE ");
    let start = parser.at();
    let key = match parser.word().as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        _ => return Parser::expected_at(start, "a sort key"),
    };
    Ok(SortCriterion { key, reverse })
}
