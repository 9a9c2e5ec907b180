//! A message's octets as IMAP shows them: without state lines and CR, every LF as CR LF.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use paquebot_types::Uid;

use super::open::Version;
use super::place::Place;
use crate::mailbox::Body;

/// What is read at once.
const WINDOW: usize = 64 << 10;
/// So many shown octets lie between places from which reading can begin.
const STEP: u64 = 1 << 20;

/// Where the message is that somebody reads. The mailbox tells when it moves the message.
pub struct Reading {
    pub uid: Uid,
    /// `None` once it is expunged.
    pub place: Option<Place>,
    /// The file when the place was right.
    pub version: Version,
}

pub struct Text {
    file: Arc<File>,
    reading: Arc<Mutex<Reading>>,
    size: u64,
    cursor: Cursor,
    /// Places from which reading can begin, by shown octets.
    marks: Vec<Cursor>,
    /// Where the message was when they were made.
    start: u64,
    buffer: Vec<u8>,
}

/// A place in what is shown, and in the file.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    shown: u64,
    /// The part of the message, and octets of it.
    part: usize,
    within: u64,
    /// An LF whose CR was given.
    half: bool,
}

impl Text {
    pub fn new(file: Arc<File>, reading: Arc<Mutex<Reading>>, place: &Place) -> Self {
        let (size, start) = (place.size, place.start);
        Self { file, reading, size, cursor: Cursor::default(), marks: Vec::new(), start, buffer: Vec::new() }
    }

    /// Goes to a shown octet at or before the one wanted.
    fn go_to(&mut self, offset: u64) {
        if offset < self.cursor.shown || offset - self.cursor.shown > STEP {
            let best = self.marks.iter().rev().find(|mark| mark.shown <= offset).copied().unwrap_or_default();
            if offset < self.cursor.shown || best.shown > self.cursor.shown {
                self.cursor = best;
            }
        }
    }

    /// Gives shown octets from the cursor on; those before `offset` are passed over.
    fn render(&mut self, place: &Place, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        for (part, (from, to)) in place.shown().enumerate().skip(self.cursor.part) {
            if part != self.cursor.part {
                (self.cursor.part, self.cursor.within) = (part, 0);
            }
            while from + self.cursor.within < to && done < out.len() {
                let left = to - from - self.cursor.within;
                let count = usize::try_from(left).map_or(WINDOW, |left| left.min(WINDOW));
                self.buffer.resize(count, 0);
                self.file.read_exact_at(&mut self.buffer, from + self.cursor.within)?;
                let next = self.marks.last().map_or(0, |mark| mark.shown) + STEP;
                if self.cursor.shown >= next && !self.cursor.half {
                    self.marks.push(self.cursor);
                }
                done += convert(&self.buffer, &mut self.cursor, offset, &mut out[done..]);
            }
            if done == out.len() {
                break;
            }
        }
        Ok(done)
    }
}

/// Converts octets as many as fit; the cursor goes on over those that were used.
fn convert(octets: &[u8], cursor: &mut Cursor, offset: u64, out: &mut [u8]) -> usize {
    let (mut done, mut at) = (0, 0);
    while let Some(octet) = octets.get(at) {
        let used = match octet {
            b'\r' => 1,
            b'\n' => {
                let rest = if cursor.half { b"\n".as_slice() } else { b"\r\n" };
                let shown = show(rest, cursor, offset, &mut out[done..], &mut done);
                // Its CR may be all that fits.
                cursor.half = shown < rest.len() && (cursor.half || shown > 0);
                usize::from(shown == rest.len())
            }
            _ => {
                let rest = &octets[at..];
                let run = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                show(&rest[..run], cursor, offset, &mut out[done..], &mut done)
            }
        };
        if used == 0 {
            break;
        }
        cursor.within += used as u64;
        at += used;
    }
    done
}

/// Gives octets as they are, as many as fit; those before `offset` are passed over. Gives how many were used.
fn show(octets: &[u8], cursor: &mut Cursor, offset: u64, out: &mut [u8], done: &mut usize) -> usize {
    let before =
        usize::try_from(offset.saturating_sub(cursor.shown)).map_or(octets.len(), |more| more.min(octets.len()));
    let count = (octets.len() - before).min(out.len());
    out[..count].copy_from_slice(&octets[before..before + count]);
    *done += count;
    cursor.shown += (before + count) as u64;
    before + count
}

impl Body for Text {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.within(offset, buffer.len());
        // While this is locked the mailbox moves nothing.
        let reading = Arc::clone(&self.reading);
        let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = reading.place.clone() else { return Err(changed()) };
        if place.start != self.start {
            (self.cursor, self.start) = (Cursor::default(), place.start);
            self.marks.clear();
        }
        self.go_to(offset);
        let done = match self.render(&place, offset, &mut buffer[..count]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
            done => done?,
        };
        // Whoever changes the file writes from its begin to its end: if the header is what it was, so was the text.
        let version = Version::of(&self.file.metadata()?);
        if version != reading.version {
            if !place.is_in(&self.file)? {
                return Err(changed());
            }
            reading.version = version;
        }
        if done < count {
            return Err(changed());
        }
        Ok(done)
    }
}

fn changed() -> io::Error {
    io::Error::other("the message is not where it was: another program has changed the mailbox")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_converted_from_any_octet_on() {
        let raw = b"one\r\ntwo\n\n\rx\r\r\n";
        let wanted = b"one\r\ntwo\r\n\r\nx\r\n";
        for from in 0..wanted.len() {
            for size in 1..=wanted.len() - from {
                let (mut cursor, mut out) = (Cursor::default(), vec![0; size]);
                assert_eq!(convert(raw, &mut cursor, from as u64, &mut out), size);
                assert_eq!(out, wanted[from..from + size]);
                let mut rest = vec![0; wanted.len() - from - size];
                let at = usize::try_from(cursor.within).expect("small");
                convert(&raw[at..], &mut cursor, (from + size) as u64, &mut rest);
                assert_eq!(rest, wanted[from + size..]);
            }
        }
    }
}
