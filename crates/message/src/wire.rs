//! Strings as ENVELOPE and BODYSTRUCTURE show them.

use crate::encoded_word;

/// For which sessions a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For all: never a byte above 127. Raw 8-bit text is written as encoded-words (RFC 2047).
    Ascii,
    /// For sessions with UTF8=ACCEPT or IMAP4rev2: UTF-8 in quoted strings (RFC 6855, 3; RFC 9051, 4.3). Text that is not UTF-8 is
    /// written as for the others.
    Utf8,
}

/// A longer string is written as a literal, since some clients' quoted strings are bounded.
const QUOTED_BYTES_MAX: usize = 4 << 10;

/// Writes `value`, which has been unfolded: no CR, LF or NUL is in it.
pub(crate) fn string(value: &[u8], form: Form, out: &mut Vec<u8>) {
    debug_assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "unfolded");
    if value.is_ascii() || (form == Form::Utf8 && std::str::from_utf8(value).is_ok()) {
        ascii_string(value, out);
    } else {
        let mut encoded = Vec::new();
        encoded_word::encode(value, &mut encoded);
        ascii_string(&encoded, out);
    }
}

fn ascii_string(value: &[u8], out: &mut Vec<u8>) {
    if value.len() > QUOTED_BYTES_MAX {
        out.extend_from_slice(format!("{{{}}}\r\n", value.len()).as_bytes());
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Writes a field's value unfolded, or NIL if there is no such field. A field that is empty is `""` (RFC 9051, 7.5.2).
pub(crate) fn nstring(value: Option<&[u8]>, form: Form, out: &mut Vec<u8>) {
    match value {
        Some(value) => string(&crate::header::unfold(value), form, out),
        None => out.extend_from_slice(b"NIL"),
    }
}
