//! The base subject (RFC 5256, 2.1), by which SORT orders and THREAD groups.

use crate::encoded_word;
use crate::header::unfold;

/// What is left of a subject without its marks of reply and forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseSubject {
    pub text: String,
    /// Whether such a mark was taken away.
    pub is_reply: bool,
}

/// Bytes of a decoded subject that are looked at: taking blobs away can take time in the square of their number.
const SUBJECT_BYTES_MAX: usize = 2 << 10;

/// Extracts the base subject of a Subject field's value as stored.
pub fn base_subject(value: &[u8]) -> BaseSubject {
    let value = unfold(value);
    let decoded = encoded_word::decode(&value);
    let decoded = decoded.get(..decoded.floor_char_boundary(SUBJECT_BYTES_MAX)).unwrap_or_default();
    let text = decoded.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let mut rest = text.as_str();
    let mut is_reply = false;
    loop {
        rest = strip_trailers(rest, &mut is_reply);
        rest = strip_leaders(rest, &mut is_reply);
        let forwarded = strip_prefix(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']'));
        match forwarded {
            Some(inner) => {
                is_reply = true;
                rest = inner;
            }
            None => return BaseSubject { text: rest.to_owned(), is_reply },
        }
    }
}

/// subj-trailer = "(fwd)" / WSP
fn strip_trailers<'a>(text: &'a str, is_reply: &mut bool) -> &'a str {
    let mut rest = text.trim_ascii_end();
    while let Some((before, trailer)) = rest.split_at_checked(rest.len().wrapping_sub("(fwd)".len()))
        && trailer.eq_ignore_ascii_case("(fwd)")
    {
        *is_reply = true;
        rest = before.trim_ascii_end();
    }
    rest
}

/// subj-leader = (*subj-blob subj-refwd) / WSP, then a blob that is not all that is left; as often as there are any.
fn strip_leaders<'a>(text: &'a str, is_reply: &mut bool) -> &'a str {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let mut after_blobs = rest;
        while let Some(following) = strip_blob(after_blobs) {
            after_blobs = following;
        }
        if let Some(following) = strip_refwd(after_blobs) {
            *is_reply = true;
            rest = following;
        } else if let Some(following) = strip_blob(rest).filter(|following| !following.is_empty()) {
            rest = following;
        } else {
            return rest;
        }
    }
}

/// subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
fn strip_refwd(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|mark| strip_prefix(text, mark))?.trim_ascii_start();
    strip_blob(rest).unwrap_or(rest).strip_prefix(':')
}

/// subj-blob = "[" *BLOBCHAR "]" *WSP
fn strip_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner.get(end..)?.strip_prefix(']').map(str::trim_ascii_start)
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_reply_and_forwarding_are_taken_away() {
        let cases = [
            ("hello", "hello", false),
            ("Re: hello", "hello", true),
            ("RE : Fwd: fw: hello (fwd) (FWD) ", "hello", true),
            ("[list] Re: [PATCH] hello", "hello", true),
            ("Re[2]: hello", "hello", true),
            ("[list] hello", "hello", false),
            ("[list]", "[list]", false),
            ("[fwd: Re: hello]", "hello", true),
            ("[Fwd: [fwd: a]]", "a", true),
            ("[a][b] [c] d", "d", false),
            ("re", "re", false),
            ("regarding: x", "regarding: x", false),
            ("", "", false),
            ("Re:", "", true),
            ("(fwd)", "", true),
            ("[unclosed re: x", "[unclosed re: x", false),
            ("=?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=\r\n\tan  alle", "Grüße an alle", true),
            ("é", "é", false),
        ];
        for (value, text, is_reply) in cases {
            assert_eq!(base_subject(value.as_bytes()), BaseSubject { text: text.to_owned(), is_reply }, "{value}");
        }
    }
}
