//! AUTHENTICATE (RFC 9051, 6.2.2) with SASL-IR (RFC 4959).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Command;
use crate::command::Password;
use crate::parser::{Parsed, Parser};

/// AUTHENTICATE with an initial response where there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// The mechanism's name in upper case.
    pub mechanism: String,
    /// Decoded; `=` gives an empty one.
    pub initial: Option<Password>,
}

/// What a client sends after a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslLine {
    /// Decoded from base64; may be empty.
    Response(Password),
    /// `*`: the client gives up; the command is answered with BAD.
    Cancel,
}

/// Parses the line that answers a challenge; `None` for what is neither base64 nor `*`, which is answered with BAD.
pub fn parse_sasl_line(line: &[u8]) -> Option<SaslLine> {
    if line == b"*" { Some(SaslLine::Cancel) } else { decode(line).map(SaslLine::Response) }
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]`
///
/// Both may also be strings: some clients write every argument of theirs so.
pub(super) fn parse(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let mechanism = parser.astring_text("a SASL mechanism")?.to_ascii_uppercase();
    let initial = match parser.skip_space() {
        true => Some(initial_response(parser)?),
        false => None,
    };
    Ok(Command::Authenticate(Authenticate { mechanism, initial }))
}

/// `initial-resp = base64 / "="`: the equals sign is an empty response (RFC 4959, 3).
fn initial_response(parser: &mut Parser<'_>) -> Parsed<Password> {
    let start = parser.at();
    let text = match parser.peek() {
        Some(b'"' | b'{') => parser.string("an initial response")?,
        _ => Cow::Borrowed(parser.take_while(|byte| byte != b' ')),
    };
    match text.as_ref() {
        b"=" => Ok(Password::new(Vec::new())),
        b"" => parser.expected("an initial response"),
        text => decode(text).map_or_else(|| Parser::expected_at(start, "base64"), Ok),
    }
}

fn decode(base64: &[u8]) -> Option<Password> {
    STANDARD.decode(base64).ok().map(Password::new)
}
