//! Takes out the Return-Path fields that a message comes with: there is one, and final delivery writes it (RFC 5321, 4.4).

/// What the field is called.
const NAME: &[u8] = b"return-path";
/// White space between the name and its colon (RFC 5322, 4.5) that is looked through.
const SPACE_BYTES_MAX: usize = 16;

/// Takes a message in pieces of any size and gives it without those fields; all else stays as it is, byte for byte.
///
/// A header's lines may end in CRLF or in LF, as readers of stored mail take them.
#[derive(Debug, Default)]
pub struct ReturnPathFilter {
    place: Place,
    /// The start of a line that may be such a field.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the start of a header's line, or within what may be the name.
    #[default]
    Name,
    /// In a line that stays.
    Kept,
    /// In a line that goes.
    Dropped,
    /// At the start of a line after one that goes: its continuation goes too.
    AfterDropped,
    Body,
}

impl ReturnPathFilter {
    /// Appends to `out` what stays of `piece`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some((&octet, after)) = rest.split_first() {
            match self.place {
                Place::Body => {
                    out.extend_from_slice(rest);
                    return;
                }
                Place::Kept => {
                    let (line, after, ended) = split_line(rest);
                    out.extend_from_slice(line);
                    if ended {
                        self.place = Place::Name;
                    }
                    rest = after;
                }
                Place::Dropped => {
                    let (_, after, ended) = split_line(rest);
                    if ended {
                        self.place = Place::AfterDropped;
                    }
                    rest = after;
                }
                Place::AfterDropped => {
                    self.place = if matches!(octet, b' ' | b'\t') { Place::Dropped } else { Place::Name };
                }
                Place::Name => {
                    self.held.push(octet);
                    self.judge(out);
                    rest = after;
                }
            }
        }
    }

    /// Appends what is still held back: the message has ended.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    /// Decides about the start of a line, if it is long enough for that.
    fn judge(&mut self, out: &mut Vec<u8>) {
        let name = &self.held[..self.held.len().min(NAME.len())];
        let place = if matches!(&*self.held, b"\n" | b"\r\n") {
            Place::Body
        } else if matches!(&*self.held, b"\r") {
            return;
        } else if !name.eq_ignore_ascii_case(&NAME[..name.len()]) {
            // The line may have ended with this very octet.
            if self.held.ends_with(b"\n") { Place::Name } else { Place::Kept }
        } else {
            match self.held.get(NAME.len()..) {
                Some([.., b':']) => {
                    self.held.clear();
                    self.place = Place::Dropped;
                    return;
                }
                Some([.., b'\n']) => Place::Name,
                Some([.., octet]) if !matches!(octet, b' ' | b'\t') => Place::Kept,
                Some(space) if space.len() > SPACE_BYTES_MAX => Place::Kept,
                _ => return,
            }
        };
        out.append(&mut self.held);
        self.place = place;
    }
}

/// The rest of a line with its LF, what comes after it, and whether the LF is there.
fn split_line(octets: &[u8]) -> (&[u8], &[u8], bool) {
    let end = memchr::memchr(b'\n', octets);
    let (line, after) = octets.split_at(end.map_or(octets.len(), |at| at + 1));
    (line, after, end.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(message: &[u8], size: usize) -> Vec<u8> {
        let (mut filter, mut out) = (ReturnPathFilter::default(), Vec::new());
        message.chunks(size.max(1)).for_each(|piece| filter.push(piece, &mut out));
        filter.finish(&mut out);
        out
    }

    #[test]
    fn the_field_goes_with_its_continuations_and_nothing_else() {
        let table: [(&[u8], &[u8]); 15] = [
            (b"Return-Path: <a@b>\r\nTo: c\r\n\r\nx", b"To: c\r\n\r\nx"),
            (b"To: c\r\nRETURN-path  :\r\n <a@b>\r\n\t\r\nCc: d\r\n\r\n", b"To: c\r\nCc: d\r\n\r\n"),
            (b"Return-Path: 1\nreturn-path: 2\nTo: c\n\nReturn-Path: kept\n", b"To: c\n\nReturn-Path: kept\n"),
            (b"Return-Path: a\r\n\r\nReturn-Path: body\r\n", b"\r\nReturn-Path: body\r\n"),
            (b"Return-Path: a", b""),
            (b"Return-Path", b"Return-Path"),
            (b"Return-Path\r\nReturn-Path: x\r\nA: b\r\n", b"Return-Path\r\nA: b\r\n"),
            (b"Return-Pathology: x\r\n\r\n", b"Return-Pathology: x\r\n\r\n"),
            (b"X-Return-Path: x\r\n\r\n", b"X-Return-Path: x\r\n\r\n"),
            (b" Return-Path: x\r\n\r\n", b" Return-Path: x\r\n\r\n"),
            (b"A: b\r\n Return-Path: x\r\n", b"A: b\r\n Return-Path: x\r\n"),
            (b"\r\nReturn-Path: x\r\n", b"\r\nReturn-Path: x\r\n"),
            (b"\rReturn-Path: x\r\n", b"\rReturn-Path: x\r\n"),
            (b"R\nReturn-Path: x\nRe\n\nbody", b"R\nRe\n\nbody"),
            (b"", b""),
        ];
        for (message, expected) in table {
            for size in 1..=message.len().max(1) {
                let left = filter(message, size);
                assert_eq!(left.escape_ascii().to_string(), expected.escape_ascii().to_string(), "in pieces of {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_nothing_grows(message in "(Return-Path|return-path|R|A)?[ \r\n:a]{0,6}(\r\n|\n)?(Return-Path: x\r\n( y\r\n)?)?\r?\n?.{0,5}", size in 1usize..9) {
            let whole = filter(message.as_bytes(), usize::MAX);
            prop_assert_eq!(filter(message.as_bytes(), size), whole.clone());
            prop_assert!(whole.len() <= message.len());
            // What is left has nothing more to take out.
            prop_assert_eq!(filter(&whole, 3), whole);
        }
    }
}
