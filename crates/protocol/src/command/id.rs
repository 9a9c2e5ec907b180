//! ID (RFC 2971).

use std::borrow::Cow;

use crate::Command;
use crate::parser::{Parsed, Parser, is_atom_char};

/// The most fields that a client may name (RFC 2971, 3.3).
pub const ID_PAIRS_MAX: usize = 30;
/// The longest field name, in octets.
pub const ID_KEY_BYTES_MAX: usize = 30;
/// The longest value, in octets.
pub const ID_VALUE_BYTES_MAX: usize = 1024;

/// A field and its value, `None` for NIL. What is not UTF-8 was replaced by U+FFFD; control characters are the reader's to escape.
pub type IdPair = (String, Option<String>);

/// `id = "ID" SP (nil / "(" [string SP nstring *(SP string SP nstring)] ")")`
///
/// Spaces within the parentheses (aioimaplib's), commas after strings and values that are atoms are let pass: what a client says of itself is
/// not worth a refusal.
pub(super) fn parse(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    if parser.skip_bytes(b"NIL") {
        return Ok(Command::Id(None));
    }
    let mut pairs = Vec::new();
    parser.open()?;
    parser.skip_byte(b' ');
    while !parser.skip_byte(b')') {
        if pairs.len() == ID_PAIRS_MAX {
            return parser.too_many("fields", ID_PAIRS_MAX);
        }
        pairs.push(pair(parser)?);
        parser.skip_byte(b',');
        if parser.peek() != Some(b')') {
            parser.byte(b' ', "a space or a closing parenthesis")?;
        }
    }
    Ok(Command::Id(Some(pairs)))
}

/// `string SP nstring`
fn pair(parser: &mut Parser<'_>) -> Parsed<IdPair> {
    let name = parser.string("a field name")?;
    if name.len() > ID_KEY_BYTES_MAX {
        return parser.too_many("octets of a field name", ID_KEY_BYTES_MAX);
    }
    parser.skip_byte(b',');
    parser.space()?;
    let value = value(parser)?;
    if value.as_ref().is_some_and(|value| value.len() > ID_VALUE_BYTES_MAX) {
        return parser.too_many("octets of a value", ID_VALUE_BYTES_MAX);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&name), value.map(|value| text(&value))))
}

/// `nstring`, or an atom, which ends before a comma.
fn value<'a>(parser: &mut Parser<'a>) -> Parsed<Option<Cow<'a, [u8]>>> {
    match parser.peek() {
        Some(b'"' | b'{') => parser.string("a value or NIL").map(Some),
        _ => match parser.take_while(|byte| byte != b',' && is_atom_char(byte)) {
            b"" => parser.expected("a value or NIL"),
            atom if atom.eq_ignore_ascii_case(b"NIL") => Ok(None),
            atom => Ok(Some(Cow::Borrowed(atom))),
        },
    }
}
