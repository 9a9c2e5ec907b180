//! Content-Type, Content-Disposition and Content-Transfer-Encoding (RFC 2045, 5 and 6; RFC 2183), tolerantly.
//!
//! Parameters come as stored: RFC 2231's pieces (`filename*0*=`) are not put together, as Dovecot and Cyrus do it, since clients
//! do that themselves.

use std::borrow::Cow;

use memchr::memchr;

use crate::limits::PARAMETERS_MAX;

/// The value of a Content-Type field.
#[derive(Debug, Clone)]
pub struct ContentType<'a> {
    pub kind: &'a [u8],
    pub subtype: &'a [u8],
    pub parameters: Parameters<'a>,
}

impl<'a> ContentType<'a> {
    /// Reads a field's value. One without a subtype gets the likely one: `text/plain`, `multipart/mixed`, `message/rfc822`, and
    /// `application/octet-stream` for any other word; one without even a word is `None`, which means the default type.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_comments();
        let kind = cursor.token();
        if kind.is_empty() {
            return None;
        }
        cursor.skip_comments();
        let mut subtype: &[u8] = &[];
        if cursor.take(b'/') {
            cursor.skip_comments();
            subtype = cursor.token();
        }
        let parameters = Parameters::new(cursor.rest());
        let (kind, subtype): (&[u8], &[u8]) = if !subtype.is_empty() {
            (kind, subtype)
        } else if kind.eq_ignore_ascii_case(b"text") {
            (kind, b"plain")
        } else if kind.eq_ignore_ascii_case(b"multipart") {
            (kind, b"mixed")
        } else if kind.eq_ignore_ascii_case(b"message") {
            (kind, b"rfc822")
        } else {
            (b"application", b"octet-stream")
        };
        Some(Self { kind, subtype, parameters })
    }

    /// Whether the type is `kind`, in any case.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// Whether the type is `kind/subtype`, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.is_kind(kind) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// The first parameter named `name`.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.parameters.clone().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

/// The value of a Content-Disposition field.
#[derive(Debug, Clone)]
pub struct Disposition<'a> {
    pub kind: &'a [u8],
    pub parameters: Parameters<'a>,
}

impl<'a> Disposition<'a> {
    /// Reads a field's value; `None` if it has no word.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_comments();
        let kind = cursor.token();
        (!kind.is_empty()).then(|| Self { kind, parameters: Parameters::new(cursor.rest()) })
    }
}

/// How a part's bytes are encoded (RFC 2045, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    SevenBit,
    EightBit,
    Binary,
    Base64,
    QuotedPrintable,
    /// Not known here: BINARY answers NO `[UNKNOWN-CTE]` (RFC 3516).
    Unknown,
}

impl Encoding {
    /// Reads a Content-Transfer-Encoding field's value; an empty one is 7bit.
    pub fn parse(value: &[u8]) -> Self {
        let token = encoding_token(value);
        const KNOWN: [(&str, Encoding); 5] = [
            ("7bit", Encoding::SevenBit),
            ("8bit", Encoding::EightBit),
            ("binary", Encoding::Binary),
            ("base64", Encoding::Base64),
            ("quoted-printable", Encoding::QuotedPrintable),
        ];
        if token.is_empty() {
            return Self::SevenBit;
        }
        KNOWN
            .into_iter()
            .find(|(name, _)| token.eq_ignore_ascii_case(name.as_bytes()))
            .map_or(Self::Unknown, |(_, encoding)| encoding)
    }
}

/// The first word of a Content-Transfer-Encoding field's value.
pub(crate) fn encoding_token(value: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(value);
    cursor.skip_comments();
    cursor.token()
}

/// The parameters of a field: name as stored, value without its quoting. At most [`PARAMETERS_MAX`]; ones without name or `=` are
/// passed over.
#[derive(Debug, Clone)]
pub struct Parameters<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> Parameters<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(rest), left: PARAMETERS_MAX }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            self.cursor.skip_past_semicolon()?;
            self.left -= 1;
            self.cursor.skip_comments();
            let name = self.cursor.token();
            self.cursor.skip_comments();
            if name.is_empty() || !self.cursor.take(b'=') {
                continue;
            }
            self.cursor.skip_comments();
            let value = match self.cursor.peek() {
                Some(b'"') => self.cursor.quoted(),
                _ => Cow::Borrowed(self.cursor.loose_value()),
            };
            return Some((name, value));
        }
        None
    }
}

/// A place in a structured field's value. Every step goes forward, so that reading a value takes linear time.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.advance(1);
        }
        found
    }

    pub(crate) fn advance(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    /// Passes over white space and comments.
    pub(crate) fn skip_comments(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0 => self.advance(1),
                b'(' => {
                    self.comment();
                }
                _ => return,
            }
        }
    }

    /// Passes over the comment that starts here and gives what is between its parentheses. One that is not closed goes to the end.
    pub(crate) fn comment(&mut self) -> &'a [u8] {
        let mut depth = 0usize;
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            match byte {
                b'\\' => at += 1,
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        let inside = self.rest.get(1..at).unwrap_or_default();
                        self.advance(at + 1);
                        return inside;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let inside = self.rest.get(1..).unwrap_or_default();
        self.rest = &[];
        inside
    }

    /// The bytes up to the next white space or special (RFC 2045, 5.1, without `:`, `?`, `@` and the like, which stray into tokens).
    fn token(&mut self) -> &'a [u8] {
        let is_end = |byte: &u8| {
            matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | b'(' | b')' | b'"' | b';' | b'=' | b'/' | b',')
        };
        let length = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        token
    }

    /// The content of the quoted string that starts here, without its backslashes. One that is not closed goes to the end.
    pub(crate) fn quoted(&mut self) -> Cow<'a, [u8]> {
        self.advance(1);
        let mut plain: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            match byte {
                b'"' => break,
                b'\\' => {
                    let owned = plain.get_or_insert_with(|| self.rest.get(..at).unwrap_or_default().to_vec());
                    at += 1;
                    owned.extend(self.rest.get(at));
                }
                _ => {
                    if let Some(owned) = &mut plain {
                        owned.push(byte);
                    }
                }
            }
            at += 1;
        }
        let content = self.rest.get(..at).unwrap_or(self.rest);
        self.advance(at + 1);
        plain.map_or(Cow::Borrowed(content), Cow::Owned)
    }

    /// A value without quotes up to the next semicolon. Blanks within are kept (`name=two words.pdf`), a comment at the end is not.
    fn loose_value(&mut self) -> &'a [u8] {
        let length = memchr(b';', self.rest).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        let comment = value.windows(2).position(|pair| matches!(pair, [b' ' | b'\t' | b'\n', b'(']));
        value.get(..comment.unwrap_or(value.len())).unwrap_or(value).trim_ascii()
    }

    /// Goes to just after the next semicolon outside quotes and comments.
    fn skip_past_semicolon(&mut self) -> Option<()> {
        loop {
            match self.peek()? {
                b';' => {
                    self.advance(1);
                    return Some(());
                }
                b'"' => {
                    self.quoted();
                }
                b'(' => {
                    self.comment();
                }
                _ => self.advance(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(value: &str) -> Vec<(String, String)> {
        ContentType::parse(value.as_bytes())
            .into_iter()
            .flat_map(|found| found.parameters)
            .map(|(name, value)| (String::from_utf8_lossy(name).into(), String::from_utf8_lossy(&value).into()))
            .collect()
    }

    #[test]
    fn parameters_are_read_as_stored() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("text/plain; charset=us-ascii (Plain text)", &[("charset", "us-ascii")]),
            ("text/plain; charset=\"a\\\"b\"; x=y", &[("charset", "a\"b"), ("x", "y")]),
            ("a/b; name=two words.pdf; n2", &[("name", "two words.pdf")]),
            ("a/b; =v; ; x=; y=\"\"", &[("x", ""), ("y", "")]),
            ("a/b; x=\"open", &[("x", "open")]),
            ("a/b; x=\"open\\", &[("x", "open")]),
            ("a/b (comment; x=1); y=2", &[("y", "2")]),
            ("a/b; f*0*=utf-8''a; f*1=b", &[("f*0*", "utf-8''a"), ("f*1", "b")]),
            ("a/b (open \\", &[]),
        ];
        for (value, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(parameters(value), expected, "{value}");
        }
    }

    #[test]
    fn a_type_without_subtype_gets_the_likely_one() {
        let cases = [("text", "text/plain"), ("X-ZIP", "application/octet-stream"), ("Multipart", "Multipart/mixed")];
        for (value, expected) in cases {
            let found = ContentType::parse(value.as_bytes()).expect("a type");
            let written = [found.kind, found.subtype].join(&b'/');
            assert_eq!(String::from_utf8_lossy(&written), expected);
        }
        assert!(ContentType::parse(b" ;charset=x").is_none());
        assert!(ContentType::parse(b"(").is_none());
    }

    #[test]
    fn encodings_are_known_in_any_case() {
        assert_eq!(Encoding::parse(b" BASE64 (x)\r\n"), Encoding::Base64);
        assert_eq!(Encoding::parse(b"8BIT"), Encoding::EightBit);
        assert_eq!(Encoding::parse(b"x-uuencode"), Encoding::Unknown);
        assert_eq!(Encoding::parse(b" \r\n"), Encoding::SevenBit);
    }
}
