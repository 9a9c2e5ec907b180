//! Content-Transfer-Encodings (RFC 2045, 6) decoded chunk by chunk, tolerantly.

use crate::content::Encoding;

/// Decodes one part's body. Any bytes decode to something; what comes out does not depend on where the chunks end.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    /// 7bit, 8bit, binary and what is not known.
    Identity,
    Base64 {
        bits: u32,
        digits: u8,
    },
    QuotedPrintable {
        /// What was seen of `=XX` or of a soft line break.
        escape: Vec<u8>,
        /// White space that is deleted if the line ends after it (RFC 2045, 6.7, rule 3).
        blanks: Vec<u8>,
    },
}

/// White space beyond this is not at the end of a line of any mail.
const BLANKS_MAX: usize = 1_000;

impl Decoder {
    /// An unknown encoding gives the bytes as they are; BINARY refuses it before it comes here.
    pub fn new(encoding: Encoding) -> Self {
        let state = match encoding {
            Encoding::Base64 => State::Base64 { bits: 0, digits: 0 },
            Encoding::QuotedPrintable => State::QuotedPrintable { escape: Vec::new(), blanks: Vec::new() },
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary | Encoding::Unknown => State::Identity,
        };
        Self { state }
    }

    /// Takes the next bytes of the body and adds what they decode to.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(bytes),
            State::Base64 { bits, digits } => base64(bytes, bits, digits, out),
            State::QuotedPrintable { escape, blanks } => {
                bytes.iter().for_each(|&byte| quoted_printable(byte, escape, blanks, out));
            }
        }
    }

    /// Ends the body: adds what was held back.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.state {
            State::Identity => {}
            State::Base64 { bits, digits } => base64_end(bits, digits, out),
            // White space at the end of the body is at the end of a line; a lone `=` there is a soft line break.
            State::QuotedPrintable { escape, .. } => {
                if escape.len() > 1 && !is_blank(escape.get(1)) {
                    out.extend_from_slice(&escape);
                }
            }
        }
    }
}

/// Digits of base64 to their values; others to 64.
const DIGITS: [u8; 256] = {
    let mut table = [64; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
};

fn base64(bytes: &[u8], bits: &mut u32, digits: &mut u8, out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        // Whole groups, as nearly all of the body is.
        while *digits == 0
            && let Some((group, following)) = rest.split_first_chunk::<4>()
        {
            let [a, b, c, d] = group.map(|byte| u32::from(DIGITS[usize::from(byte)]));
            if (a | b | c | d) > 63 {
                break;
            }
            let group = a << 18 | b << 12 | c << 6 | d;
            let [_, high, middle, low] = group.to_be_bytes();
            out.extend_from_slice(&[high, middle, low]);
            rest = following;
        }
        let Some((&byte, following)) = rest.split_first() else { return };
        rest = following;
        let value = DIGITS[usize::from(byte)];
        if value < 64 {
            *bits = *bits << 6 | u32::from(value);
            *digits += 1;
            if *digits == 4 {
                let [_, high, middle, low] = bits.to_be_bytes();
                out.extend_from_slice(&[high, middle, low]);
                (*bits, *digits) = (0, 0);
            }
        } else if byte == b'=' {
            // Some mailers join encoded pieces, so that more may follow the padding.
            base64_end(*bits, *digits, out);
            (*bits, *digits) = (0, 0);
        }
    }
}

fn base64_end(bits: u32, digits: u8, out: &mut Vec<u8>) {
    match digits {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
}

fn quoted_printable(byte: u8, escape: &mut Vec<u8>, blanks: &mut Vec<u8>, out: &mut Vec<u8>) {
    if !escape.is_empty() {
        let second = escape.get(1).copied();
        match (second, byte) {
            // A soft line break, with the white space that transport may have added.
            (None | Some(b'\r' | b' ' | b'\t'), b'\n') => return escape.clear(),
            (None, b'\r' | b' ' | b'\t') => return escape.push(byte),
            (Some(b' ' | b'\t'), b'\r' | b' ' | b'\t') if escape.len() < BLANKS_MAX => return escape.push(byte),
            (None, _) if hex(byte).is_some() => return escape.push(byte),
            (Some(high), _) => {
                if let (Some(high), Some(low)) = (hex(high), hex(byte)) {
                    escape.clear();
                    return out.push(high << 4 | low);
                }
            }
            _ => {}
        }
        // No escape after all: as it stands.
        out.append(escape);
    }
    match byte {
        b'=' => {
            out.append(blanks);
            escape.push(byte);
        }
        b' ' | b'\t' if blanks.len() < BLANKS_MAX => blanks.push(byte),
        b'\r' | b'\n' => {
            blanks.clear();
            out.push(byte);
        }
        _ => {
            out.append(blanks);
            out.push(byte);
        }
    }
}

fn is_blank(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b' ' | b'\t' | b'\r'))
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, chunks: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut decoder = Decoder::new(encoding);
        chunks.iter().for_each(|chunk| decoder.push(chunk, &mut out));
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn base64_of_any_layout_is_decoded() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b"aGVsbG8=", b"hello"),
            (b"aGVs\r\nbG8=\r\n", b"hello"),
            (b"aGVsbG8", b"hello"),
            (b"aGVsbG8=aGVsbG8=", b"hellohello"),
            (b"a!G#V s-b_G8=", b"hello"),
            (b"a", b""),
            (b"====", b""),
        ];
        for (input, expected) in cases {
            assert_eq!(decoded(Encoding::Base64, &[input]), expected);
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(decoded(Encoding::Base64, &bytes), expected);
        }
    }

    #[test]
    fn quoted_printable_is_decoded() {
        let cases: [(&[u8], &[u8]); 11] = [
            (b"caf=C3=A9", "café".as_bytes()),
            (b"caf=c3=a9", "café".as_bytes()),
            (b"a=\r\nb=\nc", b"abc"),
            (b"a=  \r\nb", b"ab"),
            (b"a  \r\nb \nc ", b"a\r\nb\nc"),
            (b"a b\tc", b"a b\tc"),
            (b"a=", b"a"),
            (b"a=4", b"a=4"),
            (b"a=zb=4zc", b"a=zb=4zc"),
            (b"==41", b"=A"),
            (b"a =\r\nb", b"a b"),
        ];
        for (input, expected) in cases {
            assert_eq!(decoded(Encoding::QuotedPrintable, &[input]), expected, "{input:?}");
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(decoded(Encoding::QuotedPrintable, &bytes), expected);
        }
    }
}
