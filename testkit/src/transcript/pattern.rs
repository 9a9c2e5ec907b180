//! What a response must look like.

use anyhow::{Result, ensure};

use super::text::{Piece, Variables, pieces};

/// A pattern for a whole response.
#[derive(Debug, Clone)]
pub struct Pattern {
    pieces: Vec<Piece>,
    /// As it was written.
    pub written: String,
}

impl Pattern {
    /// A status (OK, NO, BAD, BYE, PREAUTH) and a continuation may go on with any text.
    pub fn parse(written: &str) -> Result<Pattern> {
        ensure!(!written.is_empty(), "an empty pattern");
        let mut pieces = pieces(written)?;
        let status = written.strip_prefix("* ").unwrap_or(written);
        if ["OK", "NO", "BAD", "BYE", "PREAUTH", "+"].iter().any(|word| status.split(' ').next() == Some(word)) {
            pieces.push(Piece::Anything);
        }
        Ok(Pattern { pieces, written: written.to_owned() })
    }

    /// A pattern that fits a response with this text anywhere in it.
    pub fn anywhere(written: &str) -> Result<Pattern> {
        ensure!(!written.is_empty(), "an empty pattern");
        let mut pieces = pieces(written)?;
        pieces.insert(0, Piece::Anything);
        pieces.push(Piece::Anything);
        Ok(Pattern { pieces, written: written.to_owned() })
    }

    pub fn is_continuation(&self) -> bool {
        self.written.starts_with('+')
    }

    pub fn is_tagged(&self) -> bool {
        !self.written.starts_with("* ") && !self.is_continuation()
    }

    /// Whether `response` fits; if it does, the variables that it binds are added.
    pub fn fits(&self, response: &[u8], variables: &mut Variables) -> bool {
        let mut bound = variables.clone();
        let fits = fits(&self.pieces, response, &mut bound);
        if fits {
            *variables = bound;
        }
        fits
    }
}

fn fits(pieces: &[Piece], data: &[u8], variables: &mut Variables) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return data.is_empty() };
    match piece {
        Piece::Text(text) => data.strip_prefix(text.as_bytes()).is_some_and(|after| fits(rest, after, variables)),
        Piece::Literal { data: literal, .. } => {
            let written = [format!("{{{}}}\r\n", literal.len()).as_bytes(), literal].concat();
            data.strip_prefix(written.as_slice()).is_some_and(|after| fits(rest, after, variables))
        }
        Piece::AnyLiteral => after_literal(data).is_some_and(|after| fits(rest, after, variables)),
        Piece::Variable(name) => {
            if let Some(value) = variables.get(name) {
                let value = value.clone();
                return data.strip_prefix(value.as_bytes()).is_some_and(|after| fits(rest, after, variables));
            }
            let length = data.iter().position(|byte| ends_value(*byte)).unwrap_or(data.len());
            let Ok(value) = std::str::from_utf8(&data[..length]) else { return false };
            if value.is_empty() {
                return false;
            }
            variables.insert(name.clone(), value.to_owned());
            fits(rest, &data[length..], variables)
        }
        Piece::Anything => (0..=data.len()).any(|skipped| {
            let mut tried = variables.clone();
            let found = fits(rest, &data[skipped..], &mut tried);
            if found {
                *variables = tried;
            }
            found
        }),
    }
}

/// A value is bound up to one of these.
fn ends_value(byte: u8) -> bool {
    byte.is_ascii_control() || b" ()[]{}\",:".contains(&byte)
}

fn after_literal(data: &[u8]) -> Option<&[u8]> {
    let end = data.windows(2).position(|pair| pair == b"\r\n")?;
    let size: usize = std::str::from_utf8(data[..end].strip_prefix(b"{")?.strip_suffix(b"}")?).ok()?.parse().ok()?;
    data[end + 2..].get(size..)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fits(pattern: &str, response: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(response.as_bytes(), &mut Variables::new())
    }

    #[test]
    fn patterns_fit_whole_responses() {
        for (pattern, response, expected) in [
            ("* 1 EXPUNGE", "* 1 EXPUNGE", true),
            ("* 1 EXPUNGE", "* 11 EXPUNGE", false),
            ("* 1 FETCH (UID 3)", "* 1 FETCH (UID 3 FLAGS ())", false),
            ("* 1 FETCH (...UID 3...)", "* 1 FETCH (FLAGS () UID 3)", true),
            ("OK", "OK done", true),
            ("OK", "NO done", false),
            ("* OK [UIDNEXT 3]", "* OK [UIDNEXT 3] next", true),
            ("+", "+ go on", true),
            ("* 1 FETCH (BODY[] {=a\\r\\n})", "* 1 FETCH (BODY[] {3}\r\na\r\n)", true),
            ("* 1 FETCH (BODY[] {...} UID 3)", "* 1 FETCH (BODY[] {3}\r\na)( UID 3)", true),
            ("* 1 FETCH (BODY[] {...})", "* 1 FETCH (BODY[] \"\")", false),
            ("* $n EXISTS", "* 17 EXISTS", true),
            ("* $n EXISTS $n", "* 17 EXISTS 18", false),
        ] {
            assert_eq!(fits(pattern, response), expected, "{pattern} and {response}");
        }
    }

    #[test]
    fn a_variable_keeps_its_first_value() {
        let mut variables = Variables::new();
        assert!(Pattern::parse("* 1 FETCH (UID $u)").unwrap().fits(b"* 1 FETCH (UID 9)", &mut variables));
        assert!(!Pattern::parse("* 2 FETCH (UID $u)").unwrap().fits(b"* 2 FETCH (UID 8)", &mut variables));
        assert_eq!(variables["u"], "9");
    }
}
