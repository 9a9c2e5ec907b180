//! Strings and numbers on the wire.

use paquebot_types::{Flags, Keyword};

/// Writes a decimal number.
pub fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a `string`: quoted where it can be, else a literal.
///
/// CR, LF, NUL, and octets above 127, make it a literal; UTF-8 may be quoted if `utf8` (RFC 9051, 4.3). A literal with NUL in it is
/// written as it is, though the grammar has no form for it: an octet that was stored is shown.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8], utf8: bool) {
    if !quotable(bytes, utf8) {
        out.push(b'{');
        write_number(out, bytes.len() as u64);
        out.extend_from_slice(b"}\r\n");
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for &byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Writes an `nstring`: NIL for `None`.
pub fn write_nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>, utf8: bool) {
    match bytes {
        Some(bytes) => write_string(out, bytes, utf8),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes an `astring`: an atom where it can be, else a `string`.
pub fn write_astring(out: &mut Vec<u8>, bytes: &[u8], utf8: bool) {
    let atom = !bytes.is_empty() && bytes.iter().all(|&byte| is_atom_char(byte)) && !bytes.eq_ignore_ascii_case(b"NIL");
    match atom {
        true => out.extend_from_slice(bytes),
        false => write_string(out, bytes, utf8),
    }
}

fn is_atom_char(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// Long strings are literals: some clients' buffers for a line are small (RFC 2683, 3.2.1.5).
const QUOTED_BYTES_MAX: usize = 4096;

fn quotable(bytes: &[u8], utf8: bool) -> bool {
    let plain = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0 | 0x80..);
    bytes.len() <= QUOTED_BYTES_MAX
        && (bytes.iter().all(plain)
            || (utf8
                && !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
                && std::str::from_utf8(bytes).is_ok()))
}

/// Writes human-readable text: one line whatever is in it.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str, utf8: bool) {
    let start = out.len();
    for (index, char) in text.chars().enumerate() {
        match char {
            // A text that begins with a bracket would be taken for a response code.
            '[' if index == 0 => out.push(b'('),
            ' '..='~' => out.push(char as u8),
            _ if char.is_control() || !utf8 => out.push(b' '),
            _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    debug_assert!(out.len() > start);
}

/// Writes flags and keywords, divided by spaces.
pub(crate) fn write_flags(out: &mut Vec<u8>, flags: Flags, keywords: &[Keyword], more: &[&str]) {
    let start = out.len();
    let system = Flags::NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name);
    for name in system.chain(keywords.iter().map(Keyword::as_str)).chain(more.iter().copied()) {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    }
}

/// Writes names, divided by spaces.
pub(crate) fn write_words<'w>(out: &mut Vec<u8>, words: impl IntoIterator<Item = &'w str>) {
    for (index, word) in words.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        for number in [0, 9, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(written(|out| write_number(out, number)), number.to_string().as_bytes());
        }
    }

    #[test]
    fn strings_are_quoted_only_where_the_grammar_lets_them() {
        let cases: [(&[u8], &[u8], &[u8]); 8] = [
            (b"", b"\"\"", b"\"\""),
            (b"a b", b"\"a b\"", b"\"a b\""),
            (br#"a"\b"#, br#""a\"\\b""#, br#""a\"\\b""#),
            (b"a\r\nb", b"{4}\r\na\r\nb", b"{4}\r\na\r\nb"),
            (b"a\0b", b"{3}\r\na\0b", b"{3}\r\na\0b"),
            ("h\u{e9}".as_bytes(), b"{3}\r\nh\xc3\xa9", b"\"h\xc3\xa9\""),
            (b"h\xe9", b"{2}\r\nh\xe9", b"{2}\r\nh\xe9"),
            (b"tab\t\x7f", b"\"tab\t\x7f\"", b"\"tab\t\x7f\""),
        ];
        for (bytes, ascii, utf8) in cases {
            assert_eq!(written(|out| write_string(out, bytes, false)), ascii, "{bytes:?}");
            assert_eq!(written(|out| write_string(out, bytes, true)), utf8, "{bytes:?}");
        }
        assert!(written(|out| write_string(out, &[b'x'; 5000], false)).starts_with(b"{5000}\r\n"));
        assert_eq!(written(|out| write_nstring(out, None, false)), b"NIL");
    }

    #[test]
    fn astrings_are_never_mistaken_for_nil() {
        assert_eq!(written(|out| write_astring(out, b"INBOX", false)), b"INBOX");
        assert_eq!(written(|out| write_astring(out, b"nil", false)), b"\"nil\"");
        assert_eq!(written(|out| write_astring(out, b"", false)), b"\"\"");
        assert_eq!(written(|out| write_astring(out, b"a]", false)), b"\"a]\"");
    }

    #[test]
    fn text_stays_on_its_line() {
        assert_eq!(written(|out| write_text(out, "[X] a\r\n* BYE \u{e9}", false)), b"(X] a  * BYE  ");
        assert_eq!(written(|out| write_text(out, "\u{e9}", true)), "\u{e9}".as_bytes());
    }
}
