//! Strings of every kind, and mailbox names.

use std::borrow::Cow;

use super::{Parsed, Parser};
use crate::mailbox::mailbox_from_wire;
use crate::{ListPattern, Mailbox};

/// `ATOM-CHAR`: printable ASCII but `atom-specials` (RFC 9051, 9).
pub(crate) fn is_atom_char(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`.
fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

impl<'a> Parser<'a> {
    /// `atom = 1*ATOM-CHAR`
    pub fn atom(&mut self, what: &'static str) -> Parsed<&'a str> {
        let start = self.at();
        let atom = self.take_while(is_atom_char);
        match std::str::from_utf8(atom) {
            Ok(atom) if !atom.is_empty() => Ok(atom),
            _ => Self::expected_at(start, what),
        }
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub fn astring(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(what),
            Some(byte) if is_astring_char(byte) => Ok(Cow::Borrowed(self.take_while(is_astring_char))),
            _ => self.expected(what),
        }
    }

    /// As [`Self::astring`]; what is not UTF-8 is a syntax error.
    pub fn astring_text(&mut self, what: &'static str) -> Parsed<String> {
        let start = self.at();
        let bytes = self.astring(what)?.into_owned();
        String::from_utf8(bytes).or(Self::expected_at(start, "UTF-8"))
    }

    /// `string = quoted / literal`
    pub fn string(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => self.expected(what),
        }
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`
    ///
    /// Octets beyond ASCII are let pass as a literal's are, whether or not UTF-8 is enabled: clients do write passwords and search texts so, and
    /// whoever takes the string knows what it may be.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.byte(b'"', "a quoted string")?;
        let plain = self.quoted_run()?;
        if self.skip_byte(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        while !self.skip_byte(b'"') {
            self.byte(b'\\', "a closing quote")?;
            match self.peek() {
                Some(byte @ (b'"' | b'\\')) => text.push(byte),
                _ => return self.expected("a quote or a backslash after the backslash"),
            }
            self.skip(1);
            text.extend_from_slice(self.quoted_run()?);
        }
        Ok(Cow::Owned(text))
    }

    /// The octets up to a quote or a backslash; none that a quoted string cannot have.
    fn quoted_run(&mut self) -> Parsed<&'a [u8]> {
        let run = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0));
        match self.peek() {
            Some(b'"' | b'\\') => Ok(run),
            _ => self.expected("a closing quote"),
        }
    }

    /// `literal = "{" number64 ["+"] "}" CRLF *CHAR8`: no NUL in it.
    pub fn literal(&mut self) -> Parsed<&'a [u8]> {
        let size = self.announcement()?;
        if !self.skip_bytes(b"\r\n") && !self.skip_byte(b'\n') {
            return self.expected("a line end after a literal's size");
        }
        let literal = usize::try_from(size).ok().and_then(|size| self.rest().get(..size));
        let Some(literal) = literal else { return self.expected("the octets of the literal") };
        if let Some(at) = memchr::memchr(0, literal) {
            return Self::expected_at(self.at() + at, "no NUL in a literal");
        }
        self.skip(literal.len());
        Ok(literal)
    }

    /// `"{" number64 ["+"] "}"`
    pub fn announcement(&mut self) -> Parsed<u64> {
        self.byte(b'{', "a literal")?;
        let size = self.number64()?;
        self.skip_byte(b'+');
        self.byte(b'}', "a closing brace after a literal's size")?;
        Ok(size)
    }

    /// `mailbox = astring`, and whether it ended in the hierarchy separator.
    pub fn mailbox_with_separator(&mut self) -> Parsed<(Mailbox, bool)> {
        let bytes = self.astring("a mailbox name")?;
        Ok(mailbox_from_wire(&bytes, self.context.utf8))
    }

    /// `mailbox`
    pub fn mailbox(&mut self) -> Parsed<Mailbox> {
        self.mailbox_with_separator().map(|(mailbox, _)| mailbox)
    }

    /// `list-mailbox = 1*list-char / string`, after the reference.
    pub fn list_pattern(&mut self, reference: &[u8]) -> Parsed<ListPattern> {
        let is_list_char = |byte| is_astring_char(byte) || matches!(byte, b'*' | b'%');
        let bytes = match self.peek() {
            Some(byte) if is_list_char(byte) => Cow::Borrowed(self.take_while(is_list_char)),
            _ => self.string("a mailbox pattern")?,
        };
        Ok(ListPattern::from_wire(&[reference, &bytes].concat(), self.context.utf8))
    }
}
