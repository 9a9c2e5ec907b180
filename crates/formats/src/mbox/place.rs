//! Where a message lies in its file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// What is read at once.
pub const COPY: usize = 256 << 10;

/// A part of a header, from the header's begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: u32,
    pub octets: u32,
}

impl Span {
    pub fn end(self) -> u32 {
        self.from + self.octets
    }
}

/// Where a message lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What stands before its header: a separator line, a delimiter, or both.
    pub start: u64,
    pub header: u64,
    /// Where its text begins, after the blank line.
    pub text: u64,
    /// Where the text that it shows ends.
    pub text_end: u64,
    /// Where the next message begins.
    pub end: u64,
    /// The state lines, adjoining ones as one.
    pub state: Box<[Span]>,
    /// Octets of the blank line after the header; 0 where there is none.
    pub blank: u8,
    /// Octets as they are shown.
    pub size: u64,
    /// Of everything before the text: what has another one is another message, or has other flags.
    pub hash: u64,
    /// Of what the message shows of its header.
    pub shown_hash: u64,
}

impl Place {
    /// The parts of the file that the message shows.
    pub fn shown(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let starts = std::iter::once(0).chain(self.state.iter().map(|span| span.end()));
        let ends = self.state.iter().map(|span| self.header + u64::from(span.from)).chain([self.text]);
        let header = starts.map(|start| self.header + u64::from(start)).zip(ends);
        header.chain([(self.text, self.text_end)]).filter(|(from, to)| from < to)
    }

    /// The same message so many octets on or back.
    pub fn moved(&self, to: u64) -> Self {
        let go = |at: u64| at - self.start + to;
        Self {
            start: to,
            header: go(self.header),
            text: go(self.text),
            text_end: go(self.text_end),
            end: go(self.end),
            ..self.clone()
        }
    }

    /// Whether the message still is where it was, with the flags that it had.
    pub fn is_in(&self, file: &File) -> io::Result<bool> {
        match hash(file, self.start, self.text) {
            Ok(found) => Ok(found == self.hash),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Of a part of a file.
pub fn hash(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let mut hasher = blake3::Hasher::new();
    copy(file, from, to, &mut |octets| {
        hasher.update(octets);
        Ok(())
    })?;
    Ok(short(&hasher))
}

/// As much of a hash as tells two messages of one mailbox apart.
pub fn short(hasher: &blake3::Hasher) -> u64 {
    let mut octets = [0; 8];
    octets.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(octets)
}

/// Gives a part of a file, piece by piece. Fails if the file ends before.
pub fn copy(file: &File, from: u64, to: u64, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let size = usize::try_from(to.saturating_sub(from)).map_or(COPY, |size| size.min(COPY));
    let (mut at, mut buffer) = (from, vec![0; size]);
    while at < to {
        let count = usize::try_from(to - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        file.read_exact_at(&mut buffer[..count], at)?;
        take(&buffer[..count])?;
        at += count as u64;
    }
    Ok(())
}
