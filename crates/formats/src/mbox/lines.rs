//! A file's lines, in bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// What is read at once. A longer line comes in pieces.
const WINDOW: usize = 256 << 10;
/// So much of a line in pieces comes with its end: what is looked for at the end of a line is never cut.
const END: usize = 64;

/// A line, or a piece of a long one.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'l> {
    /// Its place in the file.
    pub at: u64,
    /// With the LF.
    pub octets: &'l [u8],
    /// Whether the line begins here.
    pub begins: bool,
    /// Whether the line, or the file, ends here.
    pub ends: bool,
}

impl Piece<'_> {
    pub fn is_whole(&self) -> bool {
        self.begins && self.ends
    }

    pub fn end(&self) -> u64 {
        self.at + self.octets.len() as u64
    }
}

pub struct Lines<'f> {
    file: &'f File,
    /// The file ends here, as far as we read.
    size: u64,
    buffer: Vec<u8>,
    /// The buffer's place in the file.
    start: u64,
    /// The next line's place in the buffer.
    next: usize,
    within: bool,
}

impl<'f> Lines<'f> {
    pub fn new(file: &'f File, from: u64, size: u64) -> Self {
        Self { file, size, buffer: Vec::new(), start: from, next: 0, within: false }
    }

    /// Where the next piece will be.
    pub fn at(&self) -> u64 {
        self.start + self.next as u64
    }

    /// Goes back, or on, to a place where a line begins.
    pub fn seek(&mut self, to: u64) {
        self.within = false;
        match to.checked_sub(self.start).and_then(|next| usize::try_from(next).ok()) {
            Some(next) if next <= self.buffer.len() => self.next = next,
            _ => {
                self.buffer.clear();
                (self.start, self.next) = (to, 0);
            }
        }
    }

    /// The next line or piece of one; `None` at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let (mut searched, mut found) = (self.next, None);
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                found = Some(searched + at + 1);
                break;
            }
            let have = self.buffer.len() - self.next;
            if have >= WINDOW || self.start + self.buffer.len() as u64 >= self.size {
                break;
            }
            searched = have;
            self.fill()?;
        }
        let is_end = found.is_some() || self.start + self.buffer.len() as u64 >= self.size;
        let end = found.unwrap_or(if is_end { self.buffer.len() } else { self.buffer.len() - END });
        if end == self.next {
            return Ok(None);
        }
        let begins = !std::mem::replace(&mut self.within, !is_end);
        let from = std::mem::replace(&mut self.next, end);
        Ok(Some(Piece { at: self.start + from as u64, octets: &self.buffer[from..end], begins, ends: is_end }))
    }

    /// Reads on; what was given out goes.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.next);
        self.start += self.next as u64;
        self.next = 0;
        let have = self.buffer.len();
        let left = self.size.saturating_sub(self.start + have as u64);
        let count = usize::try_from(left).map_or(WINDOW, |left| left.min(WINDOW));
        self.buffer.resize(have + count, 0);
        self.file.read_exact_at(&mut self.buffer[have..], self.start + have as u64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_of_any_length_come_whole_or_in_pieces() {
        let long = "x".repeat(3 * WINDOW + 5);
        let text = format!("one\n\n{long}\nlast");
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        let mut lines = Lines::new(&file, 0, text.len() as u64);
        let (mut all, mut whole) = (Vec::new(), 0);
        while let Some(piece) = lines.next().unwrap() {
            assert_eq!(piece.at, all.len() as u64);
            assert!(!piece.ends || piece.begins || piece.octets.len() > END);
            all.extend_from_slice(piece.octets);
            whole += usize::from(piece.is_whole());
        }
        assert_eq!((all, whole), (text.into_bytes(), 3));
        lines.seek(4);
        assert_eq!(lines.next().unwrap().unwrap().octets, b"\n");
    }
}
