//! What is written in a line: text, variables, literals.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::samples;

/// The values of variables, by name.
pub type Variables = BTreeMap<String, String>;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// `$name`.
    Variable(String),
    /// `{=text}`, `{+=text}`, `{message 3}`, `{sample inbox/001.eml}`.
    Literal {
        data: Vec<u8>,
        synchronizing: bool,
    },
    /// `...`.
    Anything,
    /// `{...}`.
    AnyLiteral,
}

/// Takes a line apart.
pub fn pieces(line: &str) -> Result<Vec<Piece>> {
    let (mut found, mut text, mut rest) = (Vec::new(), String::new(), line);
    while let Some(char) = rest.chars().next() {
        let (piece, after) = match char {
            '.' if rest.starts_with("...") => (Some(Piece::Anything), &rest[3..]),
            '$' => match name_length(&rest[1..]) {
                0 => (None, &rest[1..]),
                length => (Some(Piece::Variable(rest[1..=length].to_owned())), &rest[1 + length..]),
            },
            '{' => {
                let end = closing_brace(rest)?;
                (literal(&rest[1..end])?, &rest[end + 1..])
            }
            _ => (None, &rest[char.len_utf8()..]),
        };
        match piece {
            Some(piece) => {
                if !text.is_empty() {
                    found.push(Piece::Text(std::mem::take(&mut text)));
                }
                found.push(piece);
            }
            None => text.push_str(&rest[..rest.len() - after.len()]),
        }
        rest = after;
    }
    if !text.is_empty() {
        found.push(Piece::Text(text));
    }
    Ok(found)
}

/// A variable begins with a small letter; `$Forwarded` is a keyword, and `$` alone the last search's result.
fn name_length(text: &str) -> usize {
    if !text.starts_with(|char: char| char.is_ascii_lowercase()) {
        return 0;
    }
    text.find(|char: char| !(char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')).unwrap_or(text.len())
}

/// Where the brace at the start of `text` closes: `\}` does not close it.
fn closing_brace(text: &str) -> Result<usize> {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            '}' if !escaped => return Ok(at),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    bail!("a brace is not closed: {text}")
}

/// What stands between the braces; `None` for a plain `{5}`, which is sent and expected as it is written.
fn literal(inner: &str) -> Result<Option<Piece>> {
    let synchronizing = |data| Ok(Some(Piece::Literal { data, synchronizing: true }));
    if inner == "..." {
        return Ok(Some(Piece::AnyLiteral));
    }
    if let Some(text) = inner.strip_prefix('=') {
        return synchronizing(unescape(text)?);
    }
    if let Some(text) = inner.strip_prefix("+=") {
        return Ok(Some(Piece::Literal { data: unescape(text)?, synchronizing: false }));
    }
    if let Some(number) = inner.strip_prefix("message ") {
        return synchronizing(message(number.parse().with_context(|| format!("{number:?} is no number"))?));
    }
    if let Some(file) = inner.strip_prefix("sample ") {
        return synchronizing(samples::read(Path::new(file))?);
    }
    ensure!(inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b'+'), "{{{inner}}} is no literal");
    Ok(None)
}

/// `\r \n \t \0 \\ \} \xHH`.
pub fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().context("a backslash at the end")?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        match escape {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            '\\' | '}' => out.push(escape as u8),
            'x' => {
                let digits = rest.get(..2).context("two hexadecimal digits are missing")?;
                out.push(u8::from_str_radix(digits, 16).with_context(|| format!("\\x{digits}"))?);
                rest = &rest[2..];
            }
            other => bail!("there is no escape \\{other}"),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// The message that `inbox N messages` puts at place `number`.
pub fn message(number: u32) -> Vec<u8> {
    format!(
        "Date: {}\r\nFrom: Sender {number} <sender{number}@example.org>\r\nTo: alice@example.org\r\nSubject: message {number}\r\n\
         Message-ID: <{number}@example.org>\r\n\r\nThis is message {number}.\r\n",
        date_of(number, " ")
    )
    .into_bytes()
}

/// Its internal date, as APPEND takes it.
pub fn internal_date(number: u32) -> String {
    date_of(number, "-")
}

fn date_of(number: u32, separator: &str) -> String {
    let day = (number.max(1) - 1) % 28 + 1;
    format!("{day:02}{separator}Jun{separator}2026 10:00:00 +0000")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_line_is_text_variables_and_literals() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let variable = |name: &str| Piece::Variable(name.to_owned());
        let literal = |data: &[u8], synchronizing| Piece::Literal { data: data.to_vec(), synchronizing };
        for (line, expected) in [
            ("* 2 FETCH (UID $uid2)", vec![text("* 2 FETCH (UID "), variable("uid2"), text(")")]),
            ("STORE 1 FLAGS ($Forwarded)", vec![text("STORE 1 FLAGS ($Forwarded)")]),
            ("SEARCH $", vec![text("SEARCH $")]),
            ("OK [UIDNEXT $n] ...", vec![text("OK [UIDNEXT "), variable("n"), text("] "), Piece::Anything]),
            (
                "LOGIN {=al\\x41} {+=a\\}b}",
                vec![text("LOGIN "), literal(b"alA", true), text(" "), literal(b"a}b", false)],
            ),
            ("APPEND INBOX {5}", vec![text("APPEND INBOX {5}")]),
            ("(BODY[] {...})", vec![text("(BODY[] "), Piece::AnyLiteral, text(")")]),
            ("LIST \"\" %", vec![text("LIST \"\" %")]),
        ] {
            assert_eq!(pieces(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in ["{=a", "{=\\q}", "{sample no/such}", "{mesage 1}"] {
            assert!(pieces(line).is_err(), "{line}");
        }
    }
}
