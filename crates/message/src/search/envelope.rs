//! SUBJECT, FROM, TO, CC and BCC answered from a kept ENVELOPE, so that no message is opened for them.

use std::borrow::Cow;

use crate::casemap::Needle;
use crate::encoded_word;

/// A field of ENVELOPE, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeField {
    Subject = 1,
    From = 2,
    To = 5,
    Cc = 6,
    Bcc = 7,
}

/// Whether a field of `envelope`, as [`crate::write_envelope`] writes it, contains `needle`. Each address is searched as
/// `name <local@domain>`; encoded-words are decoded. An empty needle is in every field that is there.
pub fn envelope_contains(envelope: &[u8], field: EnvelopeField, needle: &Needle) -> bool {
    let mut reader = Reader { rest: envelope.strip_prefix(b"(").unwrap_or(envelope) };
    for _ in 0..field as usize {
        reader.skip_value();
    }
    match reader.token() {
        Some(Token::Text(subject)) => return is_in(&subject, needle),
        Some(Token::Open) => {}
        _ => return false,
    }
    let mut values = Vec::new();
    loop {
        match reader.token() {
            Some(Token::Open) => values.clear(),
            Some(Token::Text(text)) => values.push(Some(text)),
            Some(Token::Nil) => values.push(None),
            Some(Token::Close) if !values.is_empty() => {
                if address(&values).is_some_and(|address| is_in(&address, needle)) {
                    return true;
                }
                values.clear();
            }
            Some(Token::Close) | None => return false,
        }
    }
}

/// The text of an address out of its four values; a group's start is the group's name.
fn address(values: &[Option<Cow<'_, [u8]>>]) -> Option<Vec<u8>> {
    let [name, _, local, domain] = values else { return None };
    let mut text = name.as_deref().unwrap_or_default().to_vec();
    match (local, domain) {
        (Some(local), Some(domain)) => {
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(&[b"<", local.as_ref(), b"@", domain.as_ref(), b">"].concat());
        }
        (Some(group), None) => text.extend_from_slice(group),
        _ => return None,
    }
    Some(text)
}

fn is_in(text: &[u8], needle: &Needle) -> bool {
    needle.is_in(&encoded_word::decode(text))
}

enum Token<'a> {
    Open,
    Close,
    Nil,
    Text(Cow<'a, [u8]>),
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn token(&mut self) -> Option<Token<'a>> {
        let (&first, rest) = self.rest.trim_ascii_start().split_first()?;
        self.rest = rest;
        match first {
            b'(' => Some(Token::Open),
            b')' => Some(Token::Close),
            b'"' => Some(Token::Text(self.quoted())),
            b'{' => self.literal().map(|text| Token::Text(Cow::Borrowed(text))),
            _ => {
                self.rest = rest.strip_prefix(b"IL")?;
                Some(Token::Nil)
            }
        }
    }

    fn skip_value(&mut self) {
        let mut depth = 0usize;
        while let Some(token) = self.token() {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::Text(_) | Token::Nil => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let all = self.rest;
        let plain = memchr::memchr2(b'"', b'\\', all).unwrap_or(all.len());
        if all.get(plain) != Some(&b'\\') {
            self.rest = all.get(plain + 1..).unwrap_or_default();
            return Cow::Borrowed(all.get(..plain).unwrap_or(all));
        }
        let mut out = Vec::new();
        let mut bytes = all.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'"' => break,
                b'\\' => out.extend(bytes.next()),
                _ => out.push(byte),
            }
        }
        self.rest = bytes.as_slice();
        Cow::Owned(out)
    }

    fn literal(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'}', self.rest)?;
        let length = std::str::from_utf8(self.rest.get(..end)?).ok()?.parse().ok()?;
        let (text, rest) = self.rest.get(end + 1..)?.strip_prefix(b"\r\n")?.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Form, parse, write_envelope};

    #[test]
    fn envelope_fields_are_searched() {
        let long = "x".repeat(5_000);
        let message = format!(
            "Subject: {long} \"q\\ =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: \"A \\\"B\\\" C\" <joe@x>, J\u{f6}rg <j@y>\r\n\
             To: Team: a@b;\r\n\r\n"
        );
        let structure = parse(message.as_bytes());
        for form in [Form::Ascii, Form::Utf8] {
            let mut envelope = Vec::new();
            write_envelope(&structure, &structure.parts()[0], form, &mut envelope);
            let finds = |field, text| envelope_contains(&envelope, field, &Needle::new(text));
            assert!(finds(EnvelopeField::Subject, "\"Q\\ GRÜßE"));
            assert!(finds(EnvelopeField::From, "a \"b\" c <JOE@x>"));
            assert!(finds(EnvelopeField::From, "jörg <j@y"));
            assert!(finds(EnvelopeField::To, "team"));
            assert!(finds(EnvelopeField::To, "a@b"));
            assert!(finds(EnvelopeField::To, ""));
            assert!(!finds(EnvelopeField::To, "joe"));
            assert!(!finds(EnvelopeField::Cc, ""));
            assert!(!finds(EnvelopeField::Bcc, "x"));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_fail_badly(bytes in "[(){}\"\\\\NIL 0-9a\r\n]{0,60}") {
            for field in [EnvelopeField::Subject, EnvelopeField::From, EnvelopeField::Bcc] {
                envelope_contains(bytes.as_bytes(), field, &Needle::new("a"));
            }
        }
    }
}
