//! The search keys by name.

use paquebot_types::{Flags, ModSeq};

use super::SearchKey;
use crate::Day;
use crate::parser::{Parsed, Parser};

/// What a search key begins with.
pub(super) enum Start {
    /// A whole key.
    Leaf(SearchKey),
    Not,
    Or,
    Parenthesis,
}

/// `search-key`, of NOT, OR and `(` only what comes before the keys in them.
pub(super) fn start_key(parser: &mut Parser<'_>) -> Parsed<Start> {
    match parser.peek() {
        Some(b'(') => {
            parser.open()?;
            return Ok(Start::Parenthesis);
        }
        Some(b'0'..=b'9' | b'*' | b'$') => return Ok(Start::Leaf(SearchKey::SeqNums(parser.message_set()?))),
        _ => {}
    }
    let start = parser.at();
    let word = parser.word();
    let key = match word.as_str() {
        "NOT" => {
            parser.space()?;
            return Ok(Start::Not);
        }
        "OR" => {
            parser.space()?;
            return Ok(Start::Or);
        }
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Has(Flags::ANSWERED),
        "DELETED" => SearchKey::Has(Flags::DELETED),
        "DRAFT" => SearchKey::Has(Flags::DRAFT),
        "FLAGGED" => SearchKey::Has(Flags::FLAGGED),
        "SEEN" => SearchKey::Has(Flags::SEEN),
        "UNANSWERED" => SearchKey::Lacks(Flags::ANSWERED),
        "UNDELETED" => SearchKey::Lacks(Flags::DELETED),
        "UNDRAFT" => SearchKey::Lacks(Flags::DRAFT),
        "UNFLAGGED" => SearchKey::Lacks(Flags::FLAGGED),
        "UNSEEN" => SearchKey::Lacks(Flags::SEEN),
        "NEW" => SearchKey::New,
        "OLD" => SearchKey::Old,
        "RECENT" => SearchKey::Recent,
        "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        "" => return Parser::expected_at(start, "a search key"),
        name => {
            let Some(argument) = argument_of(name) else { return Parser::expected_at(start, "a search key") };
            parser.space()?;
            argument(parser)?
        }
    };
    Ok(Start::Leaf(key))
}

type Argument = fn(&mut Parser<'_>) -> Parsed<SearchKey>;

/// How the argument of the key of this name is read, for those that have one.
fn argument_of(name: &str) -> Option<Argument> {
    Some(match name {
        "BCC" => |parser| text(parser).map(SearchKey::Bcc),
        "BODY" => |parser| text(parser).map(SearchKey::Body),
        "CC" => |parser| text(parser).map(SearchKey::Cc),
        "FROM" => |parser| text(parser).map(SearchKey::From),
        "SUBJECT" => |parser| text(parser).map(SearchKey::Subject),
        "TEXT" => |parser| text(parser).map(SearchKey::Text),
        "TO" => |parser| text(parser).map(SearchKey::To),
        "HEADER" => header,
        "BEFORE" => |parser| day(parser).map(SearchKey::Before),
        "ON" => |parser| day(parser).map(SearchKey::On),
        "SINCE" => |parser| day(parser).map(SearchKey::Since),
        "SENTBEFORE" => |parser| day(parser).map(SearchKey::SentBefore),
        "SENTON" => |parser| day(parser).map(SearchKey::SentOn),
        "SENTSINCE" => |parser| day(parser).map(SearchKey::SentSince),
        "SAVEDBEFORE" => |parser| day(parser).map(SearchKey::SavedBefore),
        "SAVEDON" => |parser| day(parser).map(SearchKey::SavedOn),
        "SAVEDSINCE" => |parser| day(parser).map(SearchKey::SavedSince),
        "OLDER" => |parser| parser.nz_number().map(SearchKey::Older),
        "YOUNGER" => |parser| parser.nz_number().map(SearchKey::Younger),
        "LARGER" => |parser| parser.number64().map(SearchKey::Larger),
        "SMALLER" => |parser| parser.number64().map(SearchKey::Smaller),
        "KEYWORD" => |parser| parser.keyword().map(SearchKey::Keyword),
        "UNKEYWORD" => |parser| parser.keyword().map(SearchKey::Unkeyword),
        "UID" => |parser| parser.message_set().map(SearchKey::Uids),
        "MODSEQ" => mod_seq,
        "EMAILID" => |parser| object_id(parser).map(SearchKey::EmailId),
        "THREADID" => |parser| object_id(parser).map(SearchKey::ThreadId),
        _ => return None,
    })
}

fn text(parser: &mut Parser<'_>) -> Parsed<Vec<u8>> {
    Ok(parser.astring("a text")?.into_owned())
}

fn header(parser: &mut Parser<'_>) -> Parsed<SearchKey> {
    let name = parser.astring_text("a header field's name")?;
    parser.space()?;
    Ok(SearchKey::Header { name, text: text(parser)? })
}

/// `date = date-text / DQUOTE date-text DQUOTE`
fn day(parser: &mut Parser<'_>) -> Parsed<Day> {
    let start = parser.at();
    let text = parser.astring("a date")?;
    Day::parse(&text).map_or_else(|| Parser::expected_at(start, "a date as 1-Feb-1994"), Ok)
}

/// `"MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer` (RFC 7162, 7)
fn mod_seq(parser: &mut Parser<'_>) -> Parsed<SearchKey> {
    if parser.peek() == Some(b'"') {
        let start = parser.at();
        let entry = parser.string("an entry name")?;
        if !entry.starts_with(b"/flags/") {
            return Parser::expected_at(start, "an entry name that begins with /flags/");
        }
        parser.space()?;
        let start = parser.at();
        if !matches!(parser.word().as_str(), "PRIV" | "SHARED" | "ALL") {
            return Parser::expected_at(start, "priv, shared or all");
        }
        parser.space()?;
    }
    Ok(SearchKey::ModSeq(ModSeq(parser.number64()?)))
}

/// `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474, 7)
fn object_id(parser: &mut Parser<'_>) -> Parsed<String> {
    let start = parser.at();
    let id = parser.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match std::str::from_utf8(id) {
        Ok(id) if (1..=255).contains(&id.len()) => Ok(id.into()),
        _ => Parser::expected_at(start, "an object identifier"),
    }
}
