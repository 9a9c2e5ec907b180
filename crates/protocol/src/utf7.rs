//! Modified UTF-7 (RFC 3501, 5.1.3): mailbox names for clients without UTF-8.

use std::borrow::Cow;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Encodes any text; what is printable ASCII already, `&` apart, is lent as it is.
pub fn encode_utf7(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| is_direct(byte) && byte != b'&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut shifted = Vec::new();
    for char in text.chars() {
        if char.is_ascii() && is_direct(char as u8) {
            flush(&mut shifted, &mut out);
            out.push(char);
            if char == '&' {
                out.push('-');
            }
        } else {
            shifted.extend(char.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut shifted, &mut out);
    Cow::Owned(out)
}

/// Decodes modified UTF-7; `None` for what is not the encoding of any text.
///
/// Only the one form that [`encode_utf7`] gives is taken, since two spellings of a name would be two names to a client: no ASCII character
/// within a shift, no shift that could have gone on, no padding bits that are set, no lone surrogate, no octet above 126.
pub fn decode_utf7(text: &str) -> Option<Cow<'_, str>> {
    if text.bytes().all(|byte| is_direct(byte) && byte != b'&') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((direct, shift)) = rest.split_once('&') {
        out.push_str(direct);
        let (encoded, after) = shift.split_once('-')?;
        match encoded {
            "" => out.push('&'),
            _ => decode_shift(encoded, &mut out)?,
        }
        rest = after;
    }
    out.push_str(rest);
    (encode_utf7(&out) == text).then_some(Cow::Owned(out))
}

fn is_direct(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

fn flush(shifted: &mut Vec<u8>, out: &mut String) {
    if shifted.is_empty() {
        return;
    }
    out.push('&');
    for chunk in shifted.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            let at = (bits >> (18 - 6 * index)) as usize & 63;
            out.push(char::from(ALPHABET[at]));
        }
    }
    out.push('-');
    shifted.clear();
}

fn decode_shift(encoded: &str, out: &mut String) -> Option<()> {
    let mut units = Vec::with_capacity(encoded.len() * 3 / 8);
    let (mut bits, mut count) = (0u32, 0);
    for byte in encoded.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == byte)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count) as u16);
            bits &= (1 << count) - 1;
        }
    }
    for char in char::decode_utf16(units) {
        out.push(char.ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(&str, &str); 10] = [
        ("INBOX", "INBOX"),
        ("", ""),
        ("a&b", "a&-b"),
        ("&", "&-"),
        // RFC 3501, 5.1.3.
        ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("\u{263a}!", "&Jjo-!"),
        ("Entw\u{fc}rfe", "Entw&APw-rfe"),
        ("\u{1f600}", "&2D3eAA-"),
        ("\u{e9}&\u{e9}", "&AOk-&-&AOk-"),
        ("tab\t", "tab&AAk-"),
    ];

    #[test]
    fn names_go_there_and_back() {
        for (text, encoded) in PAIRS {
            assert_eq!(encode_utf7(text), encoded);
            assert_eq!(decode_utf7(encoded).as_deref(), Some(text), "{encoded}");
        }
    }

    #[test]
    fn only_the_one_form_is_taken() {
        let bad = [
            "&",     // not ended
            "a&AOk", // not ended
            "&AGE-", // "a" needs no shift
            "&Jjo!", // RFC 3501: superfluous or missing shifts
            "&U,BTFw-&ZeVnLIqe-",
            "&AOl-", // padding bits set
            "&AO-",  // half a unit
            "&2D0-", // a lone surrogate
            "&AOk=-",
            "&A/k-", // "/" is no letter here, "," is
            "\u{e9}",
            "a\tb",
            "&ACY-", // "&" is "&-"
        ];
        for encoded in bad {
            assert_eq!(decode_utf7(encoded), None, "{encoded}");
        }
    }
}
