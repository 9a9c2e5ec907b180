//! Encoded-words (RFC 2047): made of raw 8-bit text, and decoded for search, sorting and display.

use std::borrow::Cow;

use memchr::memchr;

use crate::charset;
use crate::content::Encoding;
use crate::transfer::Decoder;

/// The longest encoded-word (RFC 2047, 2).
const WORD_BYTES_MAX: usize = 75;

/// Writes `value` with the words that hold 8-bit bytes as encoded-words: of charset utf-8, or unknown-8bit (RFC 1428) if the value is no
/// UTF-8. The rest stays as it is, encoded-words included.
pub fn encode(value: &[u8], out: &mut Vec<u8>) {
    let charset = if std::str::from_utf8(value).is_ok() { "utf-8" } else { "unknown-8bit" };
    let words = words(value);
    let word = |index: usize| words.get(index).and_then(|range| value.get(range.clone())).unwrap_or_default();
    let mut copied = 0;
    let mut first = 0;
    while let Some(range) = words.get(first) {
        if word(first).is_ascii() {
            first += 1;
            continue;
        }
        let mut after = first + 1;
        let (mut start, mut end) = (range.start, range.end);
        while let Some(range) = words.get(after)
            && !word(after).is_ascii()
        {
            end = range.end;
            after += 1;
        }
        // White space between two encoded-words is not shown (RFC 2047, 6.2): beside another one, ours takes it in.
        let joins_before = first.checked_sub(1).filter(|&before| is_encoded(word(before)));
        let joins_after = words.get(after).filter(|_| is_encoded(word(after)));
        if let Some(before) = joins_before.and_then(|before| words.get(before)) {
            start = before.end;
        }
        if let Some(following) = joins_after {
            end = following.start;
        }
        out.extend_from_slice(value.get(copied..start).unwrap_or_default());
        if joins_before.is_some() {
            out.push(b' ');
        }
        encode_run(value.get(start..end).unwrap_or_default(), charset, out);
        if joins_after.is_some() {
            out.push(b' ');
        }
        copied = end;
        first = after;
    }
    out.extend_from_slice(value.get(copied..).unwrap_or_default());
}

/// The words of `value`, between white space.
fn words(value: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    for word in value.split(|byte| matches!(byte, b' ' | b'\t')) {
        if !word.is_empty() {
            words.push(at..at + word.len());
        }
        at += word.len() + 1;
    }
    words
}

fn is_encoded(word: &[u8]) -> bool {
    EncodedWord::parse(word).is_some_and(|(_, following)| following.is_empty())
}

fn encode_run(run: &[u8], charset: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'*' | b'+' | b'-' | b'/' | b' ');
    let special = run.iter().filter(|&&byte| !is_plain(byte)).count();
    let base64 = special * 3 > run.len() * 2;
    let room = WORD_BYTES_MAX - charset.len() - "=??b??=".len();
    let cost = |byte: u8| if is_plain(byte) { 1 } else { 3 };
    let mut rest = run;
    let mut is_first = true;
    while !rest.is_empty() {
        let mut length = 0;
        let mut cost_so_far = 0;
        while length < rest.len() {
            let character = character_length(rest.get(length..).unwrap_or_default());
            let bytes = rest.get(length..length + character).unwrap_or_default();
            cost_so_far += bytes.iter().map(|&byte| cost(byte)).sum::<usize>();
            let fits = if base64 { (length + character).div_ceil(3) * 4 <= room } else { cost_so_far <= room };
            if !fits {
                break;
            }
            length += character;
        }
        let (piece, following) = rest.split_at(length);
        rest = following;
        if !is_first {
            out.push(b' ');
        }
        is_first = false;
        out.extend_from_slice(format!("=?{charset}?{}?", if base64 { 'b' } else { 'q' }).as_bytes());
        if base64 {
            encode_base64(piece, out);
        } else {
            for &byte in piece {
                match byte {
                    b' ' => out.push(b'_'),
                    byte if is_plain(byte) => out.push(byte),
                    byte => out.extend_from_slice(format!("={byte:02X}").as_bytes()),
                }
            }
        }
        out.extend_from_slice(b"?=");
    }
}

/// The length of the UTF-8 character that starts `bytes`, or of the bytes that look like one.
fn character_length(bytes: &[u8]) -> usize {
    let continuing = bytes.iter().skip(1).take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count();
    if bytes.first().is_some_and(|&byte| byte >= 0xC0) { 1 + continuing } else { 1 }
}

fn encode_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            out.push(if digit <= group.len() { ALPHABET[value as usize] } else { b'=' });
        }
    }
}

/// `value` (unfolded) as text: encoded-words decoded, raw bytes taken as UTF-8 or else as windows-1252.
pub fn decode(value: &[u8]) -> Cow<'_, str> {
    if !value.windows(2).any(|pair| pair == b"=?") {
        return charset::guess(value);
    }
    let mut out = String::with_capacity(value.len());
    // Bytes of encoded-words that follow each other in one charset: a character may be cut between two of them.
    let mut pending: Vec<u8> = Vec::new();
    let mut pending_charset: &[u8] = &[];
    let mut rest = value;
    let mut plain_start = value;
    while let Some(at) = memchr(b'=', rest) {
        let candidate = rest.get(at..).unwrap_or_default();
        let Some((word, following)) = EncodedWord::parse(candidate) else {
            rest = candidate.get(1..).unwrap_or_default();
            continue;
        };
        let plain = plain_start.get(..plain_start.len() - candidate.len()).unwrap_or_default();
        let continues = !pending_charset.is_empty() && plain.trim_ascii().is_empty();
        if !continues || !word.charset.eq_ignore_ascii_case(pending_charset) {
            out.push_str(&charset::decode(pending_charset, &pending));
            pending.clear();
        }
        if !continues {
            out.push_str(&charset::guess(plain));
        }
        pending_charset = word.charset;
        word.decode(&mut pending);
        rest = following;
        plain_start = following;
    }
    out.push_str(&charset::decode(pending_charset, &pending));
    out.push_str(&charset::guess(plain_start));
    Cow::Owned(out)
}

struct EncodedWord<'a> {
    charset: &'a [u8],
    base64: bool,
    text: &'a [u8],
}

impl<'a> EncodedWord<'a> {
    /// Reads `=?charset*language?encoding?text?=`, and gives what follows it.
    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let rest = bytes.strip_prefix(b"=?")?;
        let (label, rest) = split_at_question_mark(rest)?;
        let (encoding, rest) = split_at_question_mark(rest)?;
        let (text, rest) = split_at_question_mark(rest)?;
        let rest = rest.strip_prefix(b"=")?;
        let charset = label.split(|&byte| byte == b'*').next().unwrap_or_default();
        let base64 = match encoding {
            b"b" | b"B" => true,
            b"q" | b"Q" => false,
            _ => return None,
        };
        let is_word = !charset.is_empty() && charset.iter().all(u8::is_ascii_graphic);
        is_word.then_some((Self { charset, base64, text }, rest))
    }

    fn decode(&self, out: &mut Vec<u8>) {
        if self.base64 {
            let mut decoder = Decoder::new(Encoding::Base64);
            decoder.push(self.text, out);
            decoder.finish(out);
            return;
        }
        let mut rest = self.text.iter();
        while let Some(&byte) = rest.next() {
            match byte {
                b'_' => out.push(b' '),
                b'=' => {
                    let pair = rest.as_slice().get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
                    match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
                        Some(decoded) => {
                            out.push(decoded);
                            rest.nth(1);
                        }
                        None => out.push(b'='),
                    }
                }
                byte => out.push(byte),
            }
        }
    }
}

fn split_at_question_mark(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr(b'?', bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &[u8]) -> String {
        let mut out = Vec::new();
        encode(value, &mut out);
        String::from_utf8(out).expect("encoded-words are ASCII")
    }

    #[test]
    fn raw_text_becomes_encoded_words() {
        assert_eq!(encoded("Grüße aus Köln".as_bytes()), "=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus =?utf-8?q?K=C3=B6ln?=");
        assert_eq!(encoded(b"caf\xe9"), "=?unknown-8bit?q?caf=E9?=");
        assert_eq!(encoded("日本".as_bytes()), "=?utf-8?b?5pel5pys?=");
        assert_eq!(
            encoded("=?utf-8?q?a?= \u{e9} =?utf-8?q?b?=".as_bytes()),
            "=?utf-8?q?a?= =?utf-8?q?_=C3=A9_?= =?utf-8?q?b?="
        );
    }

    #[test]
    fn encoding_goes_there_and_back_in_words_of_lawful_length() {
        let texts =
            ["é".repeat(200), "日本語 ".repeat(50), format!("plain {} =?x {}", "ü".repeat(9), "ü b ".repeat(90))];
        for text in texts {
            let text = text.trim();
            let written = encoded(text.as_bytes());
            assert!(written.is_ascii());
            assert!(written.split(' ').all(|word| word.len() <= WORD_BYTES_MAX), "{written}");
            assert_eq!(decode(written.as_bytes()), text);
        }
    }

    #[test]
    fn encoded_words_are_decoded() {
        let cases: [(&[u8], &str); 10] = [
            (b"plain", "plain"),
            (b"=?iso-8859-1?Q?Keld_J=F8rn?= Simonsen", "Keld Jørn Simonsen"),
            (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
            (b"=?utf-8?b?5pel?= =?utf-8?b?5pys?= x", "日本 x"),
            (b"=?utf-8?b?5pc=?= =?UTF-8?b?pQ==?=", "日"),
            (b"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "aé"),
            (b"a =?utf-8?x?b?= =? ?= =?a?q?b", "a =?utf-8?x?b?= =? ?= =?a?q?b"),
            (b"=?nonesuch?q?=E9?=", "é"),
            (b"caf\xe9 =?utf-8?q?=C3=A9?=!", "café é!"),
            (b"=?utf-8?q?=G=?=", "=G="),
        ];
        for (value, expected) in cases {
            assert_eq!(decode(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }
}
