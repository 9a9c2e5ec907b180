//! SEARCH (RFC 9051, 6.4.4) with WITHIN (RFC 5032), MODSEQ (RFC 7162), OBJECTID (RFC 8474) and SAVEDATE (RFC 8514).

mod key;
mod program;

pub(super) use program::program;

use paquebot_types::{Flags, Keyword, ModSeq};

use crate::parser::{Parsed, Parser};
use crate::{Command, Day, MessageSet, NumberKind};

/// SEARCH or UID SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The kind of the numbers in the answer. Sets within the keys say their own.
    pub kind: NumberKind,
    /// `None`: answer with `SEARCH`, or in rev2 with `ESEARCH` and all numbers.
    pub returns: Option<ReturnOptions>,
    /// The charset of all texts in `keys`, in upper case. `None` is US-ASCII, or UTF-8 where that is enabled.
    pub charset: Option<String>,
    pub keys: SearchKey,
}

/// RETURN (RFC 9051, 6.4.4). `RETURN ()` is `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReturnOptions {
    pub min: bool,
    pub max: bool,
    pub all: bool,
    pub count: bool,
    /// Keep the result for `$`.
    pub save: bool,
}

/// What a message must be.
///
/// The tree is no deeper than twice [`crate::ParseContext::search_depth_max`] plus 2, so that it can be walked, and dropped, by recursion.
///
/// Texts are octets in the command's charset, which the session decodes; an empty text is in every field that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    All,
    /// Two or more, or none; none matches everything.
    And(Vec<SearchKey>),
    /// Two or more; `OR a OR b c` is one of three.
    Or(Vec<SearchKey>),
    Not(Box<SearchKey>),
    /// ANSWERED, DELETED, DRAFT, FLAGGED and SEEN.
    Has(Flags),
    /// UNANSWERED and so on.
    Lacks(Flags),
    Keyword(Keyword),
    Unkeyword(Keyword),
    Recent,
    /// RECENT UNSEEN.
    New,
    /// NOT RECENT.
    Old,
    Before(Day),
    On(Day),
    Since(Day),
    SentBefore(Day),
    SentOn(Day),
    SentSince(Day),
    SavedBefore(Day),
    SavedOn(Day),
    SavedSince(Day),
    SaveDateSupported,
    /// Seconds; at least that long ago.
    Older(u32),
    /// Seconds; that long ago or less (RFC 5032, 2).
    Younger(u32),
    Larger(u64),
    Smaller(u64),
    Header {
        name: String,
        text: Vec<u8>,
    },
    Bcc(Vec<u8>),
    Cc(Vec<u8>),
    From(Vec<u8>),
    To(Vec<u8>),
    Subject(Vec<u8>),
    Body(Vec<u8>),
    Text(Vec<u8>),
    /// A set of sequence numbers, or `$`.
    SeqNums(MessageSet),
    Uids(MessageSet),
    /// Changed at or after this one. An entry name, if given, is one of a flag's and makes no difference here: all flags share a message's modseq.
    ModSeq(ModSeq),
    EmailId(String),
    ThreadId(String),
}

impl ReturnOptions {
    /// `["RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")" SP]`
    pub(super) fn parse(parser: &mut Parser<'_>) -> Parsed<Option<Self>> {
        if !parser.skip_bytes(b"RETURN ") {
            return Ok(None);
        }
        let mut returns = Self::default();
        parser.list_or_empty(|parser| {
            let start = parser.at();
            match parser.word().as_str() {
                "MIN" => returns.min = true,
                "MAX" => returns.max = true,
                "ALL" => returns.all = true,
                "COUNT" => returns.count = true,
                "SAVE" => returns.save = true,
                _ => return Parser::expected_at(start, "MIN, MAX, ALL, COUNT or SAVE"),
            }
            Ok(())
        })?;
        parser.space()?;
        returns.all |= returns == Self::default();
        Ok(Some(returns))
    }
}

/// `search = "SEARCH" [SP search-return-opts] SP ["CHARSET" SP charset SP] search-key *(SP search-key)`
pub(super) fn parse(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Command> {
    parser.space()?;
    let returns = ReturnOptions::parse(parser)?;
    let charset = match parser.skip_bytes(b"CHARSET ") {
        true => {
            let charset = charset(parser)?;
            parser.space()?;
            Some(charset)
        }
        false => None,
    };
    Ok(Command::Search(Search { kind, returns, charset, keys: program(parser)? }))
}

/// `charset = atom / quoted`, in upper case.
pub(super) fn charset(parser: &mut Parser<'_>) -> Parsed<String> {
    Ok(parser.astring_text("a charset")?.to_ascii_uppercase())
}
