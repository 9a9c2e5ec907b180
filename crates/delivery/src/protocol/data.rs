//! The message after DATA (RFC 5321, 4.5.2).
//!
//! Only CRLF "." CRLF ends it. A line starts after CRLF and nowhere else: a bare CR or a bare LF is an octet like others, kept as it came.
//! So LF "." LF, CR "." CR, LF "." CRLF and CRLF "." LF never end a message, whoever sent them in the hope that some server thinks otherwise.

/// Takes the octets after DATA, in pieces of any size, and undoes the dot-stuffing.
#[derive(Debug, Clone, Copy, Default)]
pub struct DotDecoder {
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the start of a line. DATA's own CRLF counts.
    #[default]
    LineStart,
    /// After a dot at the start of a line; the dot is held back.
    Dot,
    /// After a dot and a CR, both held back.
    DotCr,
    /// Within a line, after a CR.
    Cr,
    /// Within a line.
    Within,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// How many octets of the piece belong to the data. All of them, unless it has ended.
    pub taken: usize,
    pub ended: bool,
}

impl DotDecoder {
    /// Appends the message's octets in `piece` to `message`.
    pub fn decode(&mut self, piece: &[u8], message: &mut Vec<u8>) -> Decoded {
        let mut at = 0;
        while let Some(&octet) = piece.get(at) {
            match (self.place, octet) {
                (Place::LineStart, b'.') => self.place = Place::Dot,
                (Place::Dot, b'\r') => self.place = Place::DotCr,
                (Place::DotCr, b'\n') => {
                    self.place = Place::LineStart;
                    return Decoded { taken: at + 1, ended: true };
                }
                (Place::DotCr, _) => {
                    // The dot was a stuffed one after all, and the CR a bare one, whose line goes on with this octet.
                    message.push(b'\r');
                    self.place = Place::Cr;
                    continue;
                }
                (Place::LineStart | Place::Dot | Place::Cr | Place::Within, _) => {
                    at += self.take_to_line_feed(&piece[at..], message);
                    continue;
                }
            }
            at += 1;
        }
        Decoded { taken: at, ended: false }
    }

    /// Takes octets to the next LF, if there is one, and gives how many.
    fn take_to_line_feed(&mut self, rest: &[u8], message: &mut Vec<u8>) -> usize {
        let after_cr = self.place == Place::Cr;
        let count = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let taken = &rest[..count];
        message.extend_from_slice(taken);
        self.place = match taken {
            [b'\n'] if after_cr => Place::LineStart,
            [.., b'\r', b'\n'] => Place::LineStart,
            [.., b'\r'] => Place::Cr,
            _ => Place::Within,
        };
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes in pieces of these sizes, over and over; gives the message and what follows it, or `None` if it does not end.
    fn decode(input: &[u8], sizes: &[usize]) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut decoder, mut message) = (DotDecoder::default(), Vec::new());
        let (mut at, mut sizes) = (0, sizes.iter().cycle());
        while at < input.len() {
            let size = sizes.next().copied().unwrap_or(1).clamp(1, input.len() - at);
            let decoded = decoder.decode(&input[at..at + size], &mut message);
            at += decoded.taken;
            if decoded.ended {
                return Some((message, input[at..].to_vec()));
            }
            assert_eq!(decoded.taken, size);
        }
        None
    }

    #[test]
    fn crlf_dot_crlf_ends_the_data() {
        let table: [(&[u8], &[u8], &[u8]); 12] = [
            (b".\r\n", b"", b""),
            (b".\r\nQUIT\r\n", b"", b"QUIT\r\n"),
            (b"a\r\n.\r\n", b"a\r\n", b""),
            (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", b""),
            (b"..a\r\n.b\r\n.\r\n", b".a\r\nb\r\n", b""),
            (b"a.\r\n.\r\n", b"a.\r\n", b""),
            (b"...\r\n.\r\n", b"..\r\n", b""),
            (b"\0\xff\x80\r\n.\r\n", b"\0\xff\x80\r\n", b""),
            (b"a\r\r\n.\r\n", b"a\r\r\n", b""),
            (b".\rx\r\n.\r\n", b"\rx\r\n", b""),
            (b".\r\r\n.\r\n", b"\r\r\n", b""),
            (b"a\n..b\r\n.\r\n", b"a\n..b\r\n", b""),
        ];
        for (input, message, rest) in table {
            for size in 1..=input.len() {
                let decoded = decode(input, &[size]);
                assert_eq!(decoded, Some((message.to_vec(), rest.to_vec())), "{:?}", input.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn nothing_else_ends_the_data() {
        let table: [&[u8]; 14] = [
            b"a\n.\n",
            b"a\n.\r\n",
            b"a\r\n.\n",
            b"a\r.\r",
            b"a\r.\r\n",
            b"a\r\n.\r",
            b"a.\r\n",
            b"a\n\n.\r\n",
            b"a\r\n.\r.\r\n",
            b"a\r\n. \r\n",
            b"a\r\n.\0\r\n",
            b"a\n\r.\r\n",
            b"a\n.\n\r\nb",
            b"a\r\n\x2e\x0d\x85",
        ];
        for input in table {
            for size in 1..=input.len() {
                assert_eq!(decode(input, &[size]), None, "{:?}", input.escape_ascii().to_string());
            }
        }
    }

    /// The sender's side: a dot more before every line that starts with one, where a line starts after CRLF.
    fn stuff(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, octet) in message.iter().enumerate() {
            if *octet == b'.' && (at == 0 || message[..at].ends_with(b"\r\n")) {
                out.push(b'.');
            }
            out.push(*octet);
        }
        out
    }

    proptest! {
        #[test]
        fn stuffed_messages_come_back_however_they_are_cut(
            mut message in prop::collection::vec(prop::sample::select(b"\r\r\n\n..a".to_vec()), 0..60),
            sizes in prop::collection::vec(1usize..7, 1..6),
        ) {
            message.extend_from_slice(b"\r\n");
            let mut sent = stuff(&message);
            sent.extend_from_slice(b".\r\nQUIT\r\n");
            prop_assert_eq!(decode(&sent, &sizes), Some((message, b"QUIT\r\n".to_vec())));
        }

        #[test]
        fn cuts_do_not_change_what_is_decoded(
            input in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..60),
            sizes in prop::collection::vec(1usize..7, 1..6),
        ) {
            prop_assert_eq!(decode(&input, &sizes), decode(&input, &[usize::MAX]));
        }
    }
}
