//! A message on its way into a file: what would be taken for the format's own is made unmistakable.

use std::io::{self, Write};

use super::layout::{Line, Shape};

/// So much of a header line tells whether it is a state line.
const NAME_BYTES_MAX: usize = 64;
const RENAMED: &[u8] = b"X-Original-";

/// Takes a message's octets with line ends of CR LF, and writes them as the file has them: LF alone, no CR, NUL as 0x80, state lines renamed, `From `
/// at the begin of a line quoted where that separates messages.
pub struct Incoming<'o> {
    shape: Shape,
    out: &'o mut dyn Write,
    /// The state lines of the message, put after its header.
    state: &'o str,
    in_header: bool,
    /// What there is of a line of which too little is known.
    begin: Option<Vec<u8>>,
    last: u8,
}

impl<'o> Incoming<'o> {
    pub fn new(shape: Shape, state: &'o str, out: &'o mut dyn Write) -> Self {
        Self { shape, out, state, in_header: true, begin: Some(Vec::new()), last: b'\n' }
    }

    pub fn take(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            // What is within a line stays as it is, but for a few octets.
            let run = if self.begin.is_none() { plain(octets) } else { 0 };
            if run > 0 {
                self.put(&octets[..run])?;
            }
            let Some((octet, rest)) = octets[run..].split_first() else { break };
            octets = rest;
            let octet = match octet {
                b'\r' => continue,
                1 if self.shape == Shape::Mmdf => continue,
                0 => 0x80,
                octet => *octet,
            };
            match &mut self.begin {
                None => {
                    self.put(&[octet])?;
                    if octet == b'\n' {
                        self.begin = Some(Vec::new());
                    }
                }
                Some(begin) => {
                    begin.push(octet);
                    let enough = if self.in_header { NAME_BYTES_MAX } else { FROM.len() };
                    if octet == b'\n' || begin.len() >= enough {
                        self.begin_line(octet == b'\n')?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the message: with an empty line in mbox, which belongs to no message, and with a line end in MMDF.
    pub fn finish(mut self) -> io::Result<()> {
        if self.begin.as_ref().is_some_and(|begin| !begin.is_empty()) {
            self.begin_line(false)?;
        }
        if self.last != b'\n' {
            self.put(b"\n")?;
        }
        if std::mem::take(&mut self.in_header) {
            // Its header is all there is: the empty line after it is the one that ends a message of mbox.
            self.out.write_all(self.state.as_bytes())?;
            return self.put(b"\n");
        }
        if self.shape == Shape::Mbox {
            self.put(b"\n")?;
        }
        Ok(())
    }

    /// Writes the begin of a line, which may be all of it.
    fn begin_line(&mut self, whole: bool) -> io::Result<()> {
        let begin = std::mem::replace(&mut self.begin, whole.then(Vec::new)).unwrap_or_default();
        if self.in_header && begin == b"\n" {
            self.in_header = false;
            self.out.write_all(self.state.as_bytes())?;
        } else if self.shape == Shape::Mbox && begin.starts_with(FROM) {
            self.put(b">")?;
        } else if self.in_header && !begin.starts_with(b" ") && !begin.starts_with(b"\t") {
            let line = begin.strip_suffix(b"\n").unwrap_or(&begin);
            if Line::parse(line) != Line::Shown {
                self.put(RENAMED)?;
            }
        }
        self.put(&begin)
    }

    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.last = octets.last().copied().unwrap_or(self.last);
        self.out.write_all(octets)
    }
}

const FROM: &[u8] = b"From ";

/// So many octets come before one that is to be looked at.
fn plain(octets: &[u8]) -> usize {
    let end = memchr::memchr3(b'\n', b'\r', 0, octets).unwrap_or(octets.len());
    memchr::memchr(1, &octets[..end]).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn convert(shape: Shape, text: &str) -> String {
        // Whatever the pieces, it comes out the same.
        let convert = |size: usize| {
            let mut out = Vec::new();
            let mut incoming = Incoming::new(shape, "STATE\n", &mut out);
            text.as_bytes().chunks(size).for_each(|piece| incoming.take(piece).unwrap());
            incoming.finish().unwrap();
            String::from_utf8_lossy(&out).into_owned()
        };
        let out = convert(1);
        assert_eq!(out, convert(7));
        assert_eq!(out, convert(1000));
        out
    }

    #[test]
    fn state_lines_are_renamed_in_all_of_the_header_and_nowhere_else() {
        let text =
            "X-Foo: 1\r\nX-Status: D\r\nSTATUS: R\r\n x-uid: 3\r\nx-uid: 4711\r\nStatus quo: x\r\n\r\nX-UID: 5\r\n";
        let wanted = "X-Foo: 1\nX-Original-X-Status: D\nX-Original-STATUS: R\n x-uid: 3\nX-Original-x-uid: 4711\nStatus quo: x\nSTATE\n\nX-UID: 5\n\n";
        assert_eq!(convert(Shape::Mbox, text), wanted);
    }

    #[test]
    fn from_is_quoted_where_it_separates() {
        let text = "From x\r\nA: b\r\n\r\nFrom y\r\n>From z\r\nFrom";
        assert_eq!(convert(Shape::Mbox, text), ">From x\nA: b\nSTATE\n\n>From y\n>From z\nFrom\n\n");
        assert_eq!(convert(Shape::Mmdf, text), "From x\nA: b\nSTATE\n\nFrom y\n>From z\nFrom\n");
    }

    #[test]
    fn what_has_no_text_or_no_header_gets_its_state_lines() {
        assert_eq!(convert(Shape::Mbox, "A: b\r\n"), "A: b\nSTATE\n\n");
        assert_eq!(convert(Shape::Mbox, "A: b\r\n\r\n"), "A: b\nSTATE\n\n\n");
        assert_eq!(convert(Shape::Mbox, "A: b"), "A: b\nSTATE\n\n");
        assert_eq!(convert(Shape::Mmdf, "\r\nx\u{1}\u{1}\0"), "STATE\n\nx\u{fffd}\n");
        assert_eq!(convert(Shape::Mbox, ""), "STATE\n\n");
    }
}
