//! A message's octets: lines end in LF on disk, and in CR LF as IMAP shows them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::mailbox::Body;

/// The file is converted in pieces of this size.
const PIECE: u64 = 64 * 1024;

/// An open message file. Whoever expunges it takes away the name only.
#[derive(Debug)]
pub struct Text {
    file: File,
    disk_bytes: u64,
    shown_bytes: u64,
    /// Where each piece of the file begins as it is shown.
    starts: Vec<u64>,
    /// The piece that was converted last, and which one it is.
    piece: Vec<u8>,
    piece_index: usize,
}

impl Text {
    /// Reads the file once, to know its size.
    pub fn new(file: File) -> io::Result<Self> {
        let disk_bytes = file.metadata()?.len();
        let mut text =
            Self { file, disk_bytes, shown_bytes: 0, starts: Vec::new(), piece: Vec::new(), piece_index: usize::MAX };
        let mut raw = Vec::new();
        let mut ends_in_cr = false;
        let mut at = 0;
        while at < disk_bytes {
            text.read_raw(at, &mut raw)?;
            text.starts.push(text.shown_bytes);
            text.shown_bytes += raw.len() as u64 + bare_lines(&raw, ends_in_cr);
            ends_in_cr = raw.last() == Some(&b'\r');
            at += raw.len() as u64;
        }
        if text.starts.len() == 1 {
            // A small message is not read again.
            (text.piece, text.piece_index) = (converted(&raw, false), 0);
        }
        Ok(text)
    }

    fn read_raw(&self, at: u64, raw: &mut Vec<u8>) -> io::Result<()> {
        raw.resize(usize::try_from((self.disk_bytes - at).min(PIECE)).unwrap_or(0), 0);
        self.file.read_exact_at(raw, at)
    }

    fn convert(&mut self, index: usize) -> io::Result<()> {
        let at = index as u64 * PIECE;
        let mut before = [0];
        if at > 0 {
            self.file.read_exact_at(&mut before, at - 1)?;
        }
        let mut raw = Vec::new();
        self.read_raw(at, &mut raw)?;
        self.piece = converted(&raw, before == *b"\r");
        self.piece_index = index;
        Ok(())
    }
}

impl Body for Text {
    fn len(&self) -> u64 {
        self.shown_bytes
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.shown_bytes {
            return Ok(0);
        }
        let index = self.starts.partition_point(|start| *start <= offset) - 1;
        if index != self.piece_index {
            self.convert(index)?;
        }
        let within = usize::try_from(offset - self.starts[index]).unwrap_or(usize::MAX);
        // Empty if the file is not the one that was measured: nobody writes to a message.
        let rest = self.piece.get(within..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        match count {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// How many lines end without CR.
fn bare_lines(raw: &[u8], after_cr: bool) -> u64 {
    let bare = memchr::memchr_iter(b'\n', raw).filter(|&at| match at {
        0 => !after_cr,
        at => raw[at - 1] != b'\r',
    });
    bare.count() as u64
}

fn converted(raw: &[u8], after_cr: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 16);
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', raw) {
        out.extend_from_slice(&raw[from..at]);
        let has_cr = if at == 0 { after_cr } else { raw[at - 1] == b'\r' };
        if !has_cr {
            out.push(b'\r');
        }
        from = at;
    }
    out.extend_from_slice(&raw[from..]);
    out
}

/// Turns CR LF into LF as octets come by, and counts. A CR before CR LF keeps it, or reading would take the first for its own.
#[derive(Debug, Default)]
pub struct ToDisk {
    /// CRs that have come and may belong to a line end.
    crs: usize,
    pub disk_bytes: u64,
    /// As they will be shown again.
    pub shown_bytes: u64,
}

impl ToDisk {
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        for &octet in octets {
            match octet {
                b'\r' => self.crs += 1,
                b'\n' => {
                    let crs = if self.crs == 1 { 0 } else { self.crs };
                    self.flush(crs, out);
                    self.shown_bytes += if crs == 0 { 2 } else { 1 };
                    out.push(octet);
                }
                _ => {
                    self.flush(self.crs, out);
                    self.shown_bytes += 1;
                    out.push(octet);
                }
            }
        }
        self.disk_bytes += (out.len() - before) as u64;
    }

    /// What was held back.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.disk_bytes += self.crs as u64;
        self.flush(self.crs, out);
    }

    fn flush(&mut self, crs: usize, out: &mut Vec<u8>) {
        out.resize(out.len() + crs, b'\r');
        self.shown_bytes += crs as u64;
        self.crs = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(disk: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, disk).unwrap();
        let mut text = Text::new(file).unwrap();
        let mut out = vec![0; usize::try_from(text.len()).unwrap()];
        let mut done = 0;
        while done < out.len() {
            let end = out.len().min(done + 50_001);
            done += text.read_at(done as u64, &mut out[done..end]).unwrap();
        }
        assert_eq!(text.read_at(done as u64, &mut [0; 9]).unwrap(), 0);
        out
    }

    #[test]
    fn lines_end_in_cr_lf_whatever_they_end_in_on_disk() {
        assert_eq!(shown(b""), b"");
        assert_eq!(shown(b"\na\r\nb\rc\n\r"), b"\r\na\r\nb\rc\r\n\r");
        // A CR LF that lies across two pieces.
        let piece = usize::try_from(PIECE).unwrap();
        let long = [&vec![b'x'; piece - 1][..], b"\r\ny\n", &vec![b'\n'; piece]].concat();
        let told = [&vec![b'x'; piece - 1][..], b"\r\ny\r\n", &b"\r\n".repeat(piece)].concat();
        assert!(shown(&long) == told);
    }

    #[test]
    fn what_is_appended_is_shown_again() {
        for text in [&b"a\r\nb\r\n\r\nc"[..], b"\r\r\n\r", b"a\r\r\r\nb\rc\r\n", b"\r\n", b"", b"\r\r"] {
            let (mut to_disk, mut out) = (ToDisk::default(), Vec::new());
            for octet in text.chunks(1) {
                to_disk.push(octet, &mut out);
            }
            to_disk.end(&mut out);
            assert_eq!(shown(&out), text);
            assert_eq!((to_disk.disk_bytes, to_disk.shown_bytes), (out.len() as u64, text.len() as u64));
        }
        let (mut to_disk, mut out) = (ToDisk::default(), Vec::new());
        to_disk.push(b"a\nb\n", &mut out);
        to_disk.end(&mut out);
        assert_eq!((shown(&out), to_disk.shown_bytes), (b"a\r\nb\r\n".to_vec(), 6));
    }
}
