//! The fields of a header (RFC 5322, 2.2) as stored, and unfolding.

use std::borrow::Cow;

use memchr::memchr;

/// One header field, in bytes as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name without the white space that may stand before the colon.
    pub name: &'a [u8],
    /// All after the colon, folded as stored, with the last line break.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of `header`, up to its blank line or its end. Lines without a colon are passed over.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let first = line_length(self.rest);
            let (line, _) = self.rest.split_at(first);
            if first == 0 || is_blank(line) {
                self.rest = &[];
                return None;
            }
            let mut length = first;
            while is_continuation(&self.rest[length..]) {
                length += line_length(&self.rest[length..]);
            }
            let (field, rest) = self.rest.split_at(length);
            self.rest = rest;
            if let Some(colon) = memchr(b':', line) {
                let (name, value) = field.split_at(colon);
                return Some(Field { name: name.trim_ascii_end(), value: value.get(1..).unwrap_or_default() });
            }
        }
    }
}

/// The length of the first line of `bytes` with its LF, or all of them.
pub(crate) fn line_length(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

/// Whether a line (with its break) ends a header: nothing but a break. CR CR LF is what some gateways make of CRLF.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    match line.split_last() {
        Some((b'\n', rest)) => rest.len() <= 2 && rest.iter().all(|&byte| byte == b'\r'),
        _ => false,
    }
}

/// Whether a line belongs to the field of the line before.
pub(crate) fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// A field's value as one line: line breaks taken out, a stray CR or LF made a space, NUL dropped, trimmed.
///
/// What comes back holds no CR, LF or NUL, so that it can stand in a quoted string (RFC 9051, 4.3).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(value);
    if !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            0 => {}
            b'\r' if matches!(rest.first(), Some(b'\n' | b'\r')) => {}
            b'\r' | b'\n' => {
                if !is_continuation(rest) {
                    out.push(b' ');
                }
            }
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0);
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_line_ending() {
        let found: Vec<_> = fields(b"A: 1\r\nno colon\nB :2\n more\r\n\tyet\r\n\r\nC: 3\r\n").collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name, found[0].value), (&b"A"[..], &b" 1\r\n"[..]));
        assert_eq!((found[1].name, unfold(found[1].value).as_ref()), (&b"B"[..], &b"2 more\tyet"[..]));
    }

    #[test]
    fn unfolding_leaves_nothing_that_a_quoted_string_may_not_hold() {
        assert_eq!(unfold(b" a\r\n b\rc\0d\ne \r\n").as_ref(), b"a b cd e");
        assert_eq!(unfold(b"\r\n\r\n").as_ref(), b"");
        assert_eq!(unfold(b" a\r\r\n b").as_ref(), b"a b");
    }

    #[test]
    fn an_unfinished_header_ends_where_it_ends() {
        assert_eq!(fields(b"A: 1").count(), 1);
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b" leading: continuation").count(), 1);
    }
}
