//! Searching the fields that ENVELOPE has, and what is shown of them, in its text as the index holds it: no body is opened for them.

use std::borrow::Cow;

use paquebot_message::casemap::Needle;
use paquebot_message::encoded_word;

use super::plan::EnvelopeField;

/// Whether a field of the envelope, decoded, contains the needle; an empty one is in every field that there is.
///
/// Addresses are looked at as `Name <local@domain>`, so that what is found does not depend on how a mailer quoted them.
pub(super) fn contains(envelope: &[u8], field: EnvelopeField, needle: &Needle) -> bool {
    let mut reader = Reader { rest: envelope.strip_prefix(b"(").unwrap_or_default() };
    for _ in 0..place(field) {
        reader.skip_value();
    }
    match field {
        EnvelopeField::Subject | EnvelopeField::InReplyTo | EnvelopeField::MessageId => {
            reader.text().is_some_and(|text| needle.is_empty() || needle.is_in(&encoded_word::decode(&text)))
        }
        _ => {
            let addresses = reader.addresses();
            addresses.is_some_and(|addresses| needle.is_empty() || needle.is_in(&addresses))
        }
    }
}

/// What a mailer shows of the first address of a field: its name or, if it has none, `local@domain`; of a group, the group's name. Empty if
/// there is none (RFC 5957, 3).
pub(in crate::machine) fn displayed(envelope: &[u8], field: EnvelopeField) -> String {
    let mut reader = Reader { rest: envelope.strip_prefix(b"(").unwrap_or_default() };
    for _ in 0..place(field) {
        reader.skip_value();
    }
    reader.first_displayed().unwrap_or_default()
}

/// How many values of the envelope come before the field (RFC 9051, 9: `envelope`).
fn place(field: EnvelopeField) -> usize {
    match field {
        EnvelopeField::Subject => 1,
        EnvelopeField::From => 2,
        EnvelopeField::To => 5,
        EnvelopeField::Cc => 6,
        EnvelopeField::Bcc => 7,
        EnvelopeField::InReplyTo => 8,
        EnvelopeField::MessageId => 9,
    }
}

/// Reads values from the start of an envelope's text. Bytes that are no envelope give no values, and an end.
struct Reader<'a> {
    rest: &'a [u8],
}

enum Token<'a> {
    Open,
    Close,
    Nil,
    Text(Cow<'a, [u8]>),
}

impl<'a> Reader<'a> {
    fn token(&mut self) -> Option<Token<'a>> {
        let rest = self.rest.trim_ascii_start();
        let (&first, after) = rest.split_first()?;
        match first {
            b'(' => {
                self.rest = after;
                Some(Token::Open)
            }
            b')' => {
                self.rest = after;
                Some(Token::Close)
            }
            b'"' => self.quoted(after),
            b'{' => self.literal(after),
            _ => {
                self.rest = rest.strip_prefix(b"NIL")?;
                Some(Token::Nil)
            }
        }
    }

    fn quoted(&mut self, after: &'a [u8]) -> Option<Token<'a>> {
        let mut text = Cow::Borrowed(&b""[..]);
        let mut rest = after;
        loop {
            let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let (plain, following) = rest.split_at(at);
            match &mut text {
                Cow::Borrowed([]) => text = Cow::Borrowed(plain),
                _ => text.to_mut().extend_from_slice(plain),
            }
            match following {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Some(Token::Text(text));
                }
                [_, escaped, following @ ..] => {
                    text.to_mut().push(*escaped);
                    rest = following;
                }
                _ => return None,
            }
        }
    }

    fn literal(&mut self, after: &'a [u8]) -> Option<Token<'a>> {
        let end = after.iter().position(|byte| *byte == b'}')?;
        let (digits, rest) = after.split_at(end);
        let size = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (text, rest) = rest.strip_prefix(b"}\r\n")?.split_at_checked(size)?;
        self.rest = rest;
        Some(Token::Text(Cow::Borrowed(text)))
    }

    /// Passes over a string, NIL or a list with all that is in it.
    fn skip_value(&mut self) {
        let mut depth = 0usize;
        while let Some(token) = self.token() {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::Nil | Token::Text(_) => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// `nstring`
    fn text(&mut self) -> Option<Cow<'a, [u8]>> {
        match self.token()? {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }

    fn first_displayed(&mut self) -> Option<String> {
        let (Token::Open, Token::Open) = (self.token()?, self.token()?) else { return None };
        let (name, _route, local, domain) = (self.text(), self.text(), self.text(), self.text());
        let name = name.map(|name| encoded_word::decode(&name).to_string()).filter(|name| !name.trim().is_empty());
        if name.is_some() {
            return name;
        }
        let mut shown = String::new();
        push_address(&local?, &domain.unwrap_or_default(), &mut shown);
        Some(shown)
    }

    /// `"(" 1*address ")" / nil`, as people write them; `None` for NIL.
    fn addresses(&mut self) -> Option<String> {
        let Token::Open = self.token()? else { return None };
        let mut shown = String::new();
        while let Some(Token::Open) = self.token() {
            let (name, _route, local, domain) = (self.text(), self.text(), self.text(), self.text());
            let Some(Token::Close) = self.token() else { break };
            // NIL for the local part is a group's end.
            let Some(local) = local else { continue };
            if !shown.is_empty() {
                shown.push_str(", ");
            }
            match (name, domain) {
                (_, None) => shown.push_str(&encoded_word::decode(&local)),
                (None, Some(domain)) => push_address(&local, &domain, &mut shown),
                (Some(name), Some(domain)) => {
                    shown.push_str(&encoded_word::decode(&name));
                    shown.push_str(" <");
                    push_address(&local, &domain, &mut shown);
                    shown.push('>');
                }
            }
        }
        Some(shown)
    }
}

fn push_address(local: &[u8], domain: &[u8], shown: &mut String) {
    shown.push_str(&encoded_word::decode(local));
    if !domain.is_empty() {
        shown.push('@');
        shown.push_str(&encoded_word::decode(domain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paquebot_message::{Form, parse, write_envelope};

    fn envelope(header: &str, form: Form) -> Vec<u8> {
        let structure = parse(header.as_bytes());
        let mut out = Vec::new();
        write_envelope(&structure, &structure.parts()[0], form, &mut out);
        out
    }

    #[test]
    fn what_is_shown_is_a_name_or_an_address() {
        for (field, shown) in [
            ("\"Smith, Joe\" <joe@example.org>, ann@x", "Smith, Joe"),
            ("=?utf-8?q?J=C3=B6rg?= <j@x>", "Jörg"),
            ("\"\" <joe@example.org>", "joe@example.org"),
            ("joe@example.org", "joe@example.org"),
            ("friends: Ann <ann@x>;", "friends"),
        ] {
            for form in [Form::Ascii, Form::Utf8] {
                let envelope = envelope(&format!("Subject: (x\r\nFrom: {field}\r\n\r\n"), form);
                assert_eq!(displayed(&envelope, EnvelopeField::From), shown, "{}", envelope.escape_ascii());
                assert_eq!(displayed(&envelope, EnvelopeField::To), "");
            }
        }
        assert_eq!(displayed(b"(NIL \"x", EnvelopeField::From), "");
    }

    #[test]
    fn fields_are_found_whatever_form_they_have() {
        let long = format!("To: {}\r\n", "\"a \\\"b\\\"\" <c@d>, ".repeat(400));
        let header = format!(
            "Date: x\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= \"an\" Jörg\r\nFrom: \"Smith, Joe\" <joe@example.org>\r\n\
            {long}Bcc: friends: Ann <ann@x>, bob@y;\r\nMessage-ID: <1@x>\r\nIn-Reply-To:\r\n\r\n"
        );
        for form in [Form::Ascii, Form::Utf8] {
            let envelope = envelope(&header, form);
            let has = |field, text: &str| contains(&envelope, field, &Needle::new(text));
            for (field, texts) in [
                (EnvelopeField::Subject, vec!["grüße \"AN\" jörg", ""]),
                (EnvelopeField::From, vec!["smith, joe <joe@example.org>", "JOE@EXAMPLE.ORG"]),
                (EnvelopeField::To, vec!["a \"b\" <c@d>", "c@d>, a"]),
                (EnvelopeField::Bcc, vec!["friends", "ann <ann@x>, bob@y"]),
                (EnvelopeField::MessageId, vec!["<1@x>"]),
                (EnvelopeField::InReplyTo, vec![""]),
            ] {
                for text in texts {
                    assert!(has(field, text), "{field:?} {text}");
                }
            }
            for (field, text) in [
                (EnvelopeField::Cc, ""),
                (EnvelopeField::Subject, "joe"),
                (EnvelopeField::From, "ann"),
                (EnvelopeField::InReplyTo, "1"),
            ] {
                assert!(!has(field, text), "{field:?} {text}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail_badly(bytes in "[()\"\\\\{}0-9NIL a\r\n]{0,60}") {
            for field in [EnvelopeField::Subject, EnvelopeField::From, EnvelopeField::Bcc, EnvelopeField::MessageId] {
                contains(bytes.as_bytes(), field, &Needle::new("a"));
            }
        }
    }
}
