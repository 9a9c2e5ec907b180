//! FETCH (RFC 9051, 6.4.5) with CHANGEDSINCE and VANISHED (RFC 7162), BINARY (RFC 3516), OBJECTID (RFC 8474), SAVEDATE (RFC 8514) and
//! PREVIEW (RFC 8970).

use paquebot_types::ModSeq;

use crate::parser::{Parsed, Parser};
use crate::{Command, Messages, NumberKind, Partial, SECTION_PARTS_MAX, Section, SectionText};

/// FETCH or UID FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub messages: Messages,
    /// In the order asked, doubles dropped, macros written out. At least one.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE; 0 is taken, as iOS Mail sends it.
    pub changed_since: Option<ModSeq>,
    /// VANISHED was asked for. Only UID FETCH with CHANGEDSINCE has it, the grammar makes sure; that QRESYNC is enabled does the session.
    pub vanished: bool,
}

/// One thing to be told about each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    Flags,
    Uid,
    InternalDate,
    Rfc822Size,
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    BodyStructure,
    ModSeq,
    EmailId,
    ThreadId,
    SaveDate,
    Preview {
        /// The client would rather have NIL than wait.
        lazy: bool,
    },
    /// RFC822: `BODY[]` by another name; sets `\Seen`.
    Rfc822,
    /// RFC822.HEADER: `BODY.PEEK[HEADER]` by another name.
    Rfc822Header,
    /// RFC822.TEXT: `BODY[TEXT]` by another name; sets `\Seen`.
    Rfc822Text,
    /// `BODY[section]` and `BODY.PEEK[section]`.
    Section {
        section: Section,
        peek: bool,
        partial: Option<Partial>,
    },
    /// `BINARY[part]` and `BINARY.PEEK[part]`; an empty path means the whole message.
    Binary {
        part: Vec<u32>,
        peek: bool,
        partial: Option<Partial>,
    },
    BinarySize {
        part: Vec<u32>,
    },
}

impl FetchItem {
    /// Whether asking for it sets `\Seen` (RFC 9051, 6.4.5; RFC 3516, 4.2).
    pub fn sets_seen(&self) -> bool {
        matches!(
            self,
            Self::Rfc822 | Self::Rfc822Text | Self::Section { peek: false, .. } | Self::Binary { peek: false, .. }
        )
    }
}

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")") [SP fetch-modifiers]`
pub(super) fn parse(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Command> {
    parser.space()?;
    let set = parser.message_set()?;
    parser.space()?;
    let mut items = Vec::new();
    if parser.peek() == Some(b'(') {
        parser.list(|parser| {
            let item = item(parser)?;
            if !items.contains(&item) {
                items.push(item);
            }
            Ok(())
        })?;
    } else if let Some(named) = macro_items(parser) {
        items.extend_from_slice(named);
    } else {
        items.push(item(parser)?);
    }
    let mut fetch = Fetch { messages: Messages { kind, set }, items, changed_since: None, vanished: false };
    if parser.skip_space() {
        modifiers(parser, &mut fetch)?;
    }
    Ok(Command::Fetch(fetch))
}

/// The items of ALL, FAST and FULL (RFC 9051, 6.4.5), which stand by themselves.
fn macro_items(parser: &mut Parser<'_>) -> Option<&'static [FetchItem]> {
    const FAST: &[FetchItem] = &[FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    const ALL: &[FetchItem] = &[FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, FetchItem::Envelope];
    const FULL: &[FetchItem] =
        &[FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, FetchItem::Envelope, FetchItem::Body];
    let macros = [(b"FAST".as_slice(), FAST), (b"ALL", ALL), (b"FULL", FULL)];
    macros.into_iter().find_map(|(name, items)| parser.skip_bytes(name).then_some(items))
}

/// `fetch-modifiers = "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466, 2.6; RFC 7162, 7)
fn modifiers(parser: &mut Parser<'_>, fetch: &mut Fetch) -> Parsed<()> {
    let start = parser.at();
    parser.list(|parser| {
        let start = parser.at();
        match parser.word().as_str() {
            "CHANGEDSINCE" if fetch.changed_since.is_none() => {
                parser.space()?;
                fetch.changed_since = Some(ModSeq(parser.number64()?));
            }
            "VANISHED" => fetch.vanished = true,
            _ => return Parser::expected_at(start, "CHANGEDSINCE or VANISHED"),
        }
        Ok(())
    })?;
    if fetch.vanished && (fetch.changed_since.is_none() || fetch.messages.kind != NumberKind::Uid) {
        return Parser::expected_at(start, "VANISHED with UID FETCH and CHANGEDSINCE only");
    }
    Ok(())
}

/// `fetch-att`
fn item(parser: &mut Parser<'_>) -> Parsed<FetchItem> {
    let start = parser.at();
    let word = parser.word();
    let bracket = parser.skip_byte(b'[');
    Ok(match (word.as_str(), bracket) {
        ("FLAGS", false) => FetchItem::Flags,
        ("UID", false) => FetchItem::Uid,
        ("INTERNALDATE", false) => FetchItem::InternalDate,
        ("RFC822.SIZE", false) => FetchItem::Rfc822Size,
        ("ENVELOPE", false) => FetchItem::Envelope,
        ("BODYSTRUCTURE", false) => FetchItem::BodyStructure,
        ("BODY", false) => FetchItem::Body,
        ("MODSEQ", false) => FetchItem::ModSeq,
        ("EMAILID", false) => FetchItem::EmailId,
        ("THREADID", false) => FetchItem::ThreadId,
        ("SAVEDATE", false) => FetchItem::SaveDate,
        ("PREVIEW", false) => FetchItem::Preview { lazy: parser.skip_bytes(b" (LAZY)") },
        ("RFC822", false) => FetchItem::Rfc822,
        ("RFC822.HEADER", false) => FetchItem::Rfc822Header,
        ("RFC822.TEXT", false) => FetchItem::Rfc822Text,
        ("BODY", true) => section_item(parser, false)?,
        ("BODY.PEEK", true) => section_item(parser, true)?,
        ("BINARY", true) => binary_item(parser, false)?,
        ("BINARY.PEEK", true) => binary_item(parser, true)?,
        ("BINARY.SIZE", true) => FetchItem::BinarySize { part: binary_part(parser)? },
        _ => return Parser::expected_at(start, "a FETCH item"),
    })
}

/// `[section-spec] "]" [partial]`
fn section_item(parser: &mut Parser<'_>, peek: bool) -> Parsed<FetchItem> {
    let section = section(parser)?;
    parser.byte(b']', "the end of a section")?;
    Ok(FetchItem::Section { section, peek, partial: partial(parser)? })
}

/// `[section-part] "]" [partial]`
fn binary_item(parser: &mut Parser<'_>, peek: bool) -> Parsed<FetchItem> {
    let part = binary_part(parser)?;
    Ok(FetchItem::Binary { part, peek, partial: partial(parser)? })
}

fn binary_part(parser: &mut Parser<'_>) -> Parsed<Vec<u32>> {
    let (part, dot) = section_part(parser)?;
    if dot {
        return parser.expected("a part number");
    }
    parser.byte(b']', "the end of a section")?;
    Ok(part)
}

/// `section-spec = section-msgtext / (section-part ["." section-text])`
fn section(parser: &mut Parser<'_>) -> Parsed<Section> {
    let (part, dot) = section_part(parser)?;
    let start = parser.at();
    let text = match parser.word().as_str() {
        "" if !dot => SectionText::Whole,
        "HEADER" => SectionText::Header,
        "TEXT" => SectionText::Text,
        "MIME" if !part.is_empty() => SectionText::Mime,
        "HEADER.FIELDS" => SectionText::HeaderFields(header_list(parser)?),
        "HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(header_list(parser)?),
        _ => return Parser::expected_at(start, "a section"),
    };
    // `BODY[1HEADER]` lacks its dot.
    if !part.is_empty() && !dot && text != SectionText::Whole {
        return Parser::expected_at(start, "a dot after the part number");
    }
    Ok(Section { part, text })
}

/// `section-part = nz-number *("." nz-number)`, possibly absent, and whether a dot follows.
fn section_part(parser: &mut Parser<'_>) -> Parsed<(Vec<u32>, bool)> {
    let mut part = Vec::new();
    while parser.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        if part.len() == SECTION_PARTS_MAX {
            return parser.too_many("part numbers", SECTION_PARTS_MAX);
        }
        part.push(parser.nz_number()?);
        if !parser.skip_byte(b'.') {
            return Ok((part, false));
        }
    }
    let dot = !part.is_empty();
    Ok((part, dot))
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(parser: &mut Parser<'_>) -> Parsed<Vec<String>> {
    parser.space()?;
    let mut names = Vec::new();
    parser.list(|parser| {
        names.push(parser.astring_text("a header field's name")?);
        Ok(())
    })?;
    Ok(names)
}

/// `partial = "<" number64 "." nz-number64 ">"`
fn partial(parser: &mut Parser<'_>) -> Parsed<Option<Partial>> {
    if !parser.skip_byte(b'<') {
        return Ok(None);
    }
    let origin = parser.number64()?;
    parser.byte(b'.', "a dot and a count of octets")?;
    let start = parser.at();
    let count = parser.number64()?;
    if count == 0 {
        return Parser::expected_at(start, "a count of at least 1");
    }
    parser.byte(b'>', "the end of a partial range")?;
    Ok(Some(Partial { origin, count }))
}
