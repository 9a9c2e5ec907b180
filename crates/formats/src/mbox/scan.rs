//! Finding messages in a file.

use std::fs::File;
use std::io;

use paquebot_types::InternalDate;

use super::layout::{DELIMITER, Line, Name, Shape};
use super::lines::{Lines, Piece};
use super::place::{self, Place, Span};
use super::separator::Separator;

/// State lines of one message that are looked at; those of all real messages are six.
const STATE_LINES: usize = 100;
/// A shorter line that ends as a delimiter is text, as c-client has it.
const DELIMITED_MIN: usize = 7;

/// A message as it stands in the file.
pub struct Scanned {
    pub place: Place,
    /// `None` without a separator line.
    pub internal_date: Option<InternalDate>,
    /// The state lines, in their order.
    pub state: Vec<(Name, Vec<u8>)>,
    /// Whether the file goes on after it, or could.
    pub closed: bool,
    /// Whether its last line has a line end.
    pub ended: bool,
}

/// What is next in a file.
pub enum Next {
    Message(Box<Scanned>),
    End,
    /// Here no message begins, and something is here.
    Other(u64),
}

pub struct Scan<'f> {
    shape: Shape,
    lines: Lines<'f>,
    local_zone_minutes: i16,
    /// Blank lines may come before the next separator.
    first: bool,
}

impl<'f> Scan<'f> {
    /// Messages between these places of a file.
    pub fn new(shape: Shape, file: &'f File, from: u64, size: u64, local_zone_minutes: i16) -> Self {
        Self { shape, lines: Lines::new(file, from, size), local_zone_minutes, first: true }
    }

    pub fn next(&mut self) -> io::Result<Next> {
        let start = match (self.shape, std::mem::take(&mut self.first)) {
            (Shape::Mbox, true) => self.pass_blank()?,
            _ => self.lines.at(),
        };
        let (header, internal_date) = match self.begin(start)? {
            Begin::At(header, date) => (header, date),
            Begin::End => return Ok(Next::End),
            Begin::Other => return Ok(Next::Other(start)),
        };
        let mut scanned = self.header(start, header)?;
        scanned.internal_date = internal_date;
        if scanned.place.blank > 0 {
            self.text(&mut scanned)?;
        }
        scanned.place.end = self.lines.at();
        Ok(Next::Message(Box::new(scanned)))
    }

    /// Goes over blank lines; gives where another begins.
    fn pass_blank(&mut self) -> io::Result<u64> {
        loop {
            let at = self.lines.at();
            match self.lines.next()? {
                Some(piece) if piece.octets.trim_ascii().is_empty() => {}
                _ => {
                    self.lines.seek(at);
                    return Ok(at);
                }
            }
        }
    }

    /// Reads what stands before a header.
    fn begin(&mut self, start: u64) -> io::Result<Begin> {
        let Some(line) = self.lines.next()? else { return Ok(Begin::End) };
        let mut header = start;
        let mut separator = Separator::parse(line.octets, self.local_zone_minutes).filter(|_| line.is_whole());
        if self.shape == Shape::Mbox {
            let Some(separator) = separator else { return Ok(Begin::Other) };
            return Ok(Begin::At(line.end(), Some(separator.internal_date)));
        }
        let mut end = line.end();
        if line.octets == DELIMITER {
            header = end;
            let Some(line) = self.lines.next()? else { return Ok(Begin::At(header, None)) };
            separator = Separator::parse(line.octets, self.local_zone_minutes).filter(|_| line.is_whole());
            end = line.end();
        }
        if let Some(separator) = separator {
            return Ok(Begin::At(end, Some(separator.internal_date)));
        }
        self.lines.seek(header);
        Ok(Begin::At(header, None))
    }

    fn header(&mut self, start: u64, header: u64) -> io::Result<Scanned> {
        // What stands before the header is part of what is compared.
        let mut reader = Header { at: header, ..Header::default() };
        self.lines.seek(start);
        while self.lines.at() < header {
            let Some(piece) = self.lines.next()? else { break };
            reader.hash.update(piece.octets);
        }
        let (mut text, mut text_end, mut blank, mut ended, mut closed) =
            (header, None, 0, true, self.shape == Shape::Mbox);
        while let Some(piece) = self.lines.next()? {
            let cut = delimited(self.shape, &piece);
            closed |= cut.is_some();
            let octets = &piece.octets[..cut.unwrap_or(piece.octets.len())];
            let end = piece.at + octets.len() as u64;
            (text, ended) = (end, octets.is_empty() || octets.ends_with(b"\n"));
            if piece.is_whole() && matches!(octets, b"\n" | b"\r\n") {
                blank = octets.len() as u8;
                reader.take_blank(octets);
                break;
            }
            reader.take(Piece { octets, ..piece })?;
            if cut.is_some() {
                text_end = Some(end);
                break;
            }
        }
        let place = Place {
            start,
            header,
            text,
            text_end: text_end.unwrap_or(text),
            end: text,
            state: reader.spans.into_boxed_slice(),
            blank,
            size: reader.size,
            hash: place::short(&reader.hash),
            shown_hash: place::short(&reader.shown_hash),
        };
        Ok(Scanned { place, internal_date: None, state: reader.state, closed, ended })
    }

    fn text(&mut self, scanned: &mut Scanned) -> io::Result<()> {
        let place = &mut scanned.place;
        // The blank line before the next separator belongs to it.
        let mut blank = 0;
        loop {
            let at = self.lines.at();
            let Some(piece) = self.lines.next()? else { break };
            if self.shape == Shape::Mbox {
                if piece.is_whole() && Separator::parse(piece.octets, self.local_zone_minutes).is_some() {
                    self.lines.seek(at);
                    break;
                }
                let is_blank = piece.is_whole() && matches!(piece.octets, b"\n" | b"\r\n");
                blank = if is_blank { piece.octets.len() } else { 0 };
            }
            let cut = delimited(self.shape, &piece);
            let octets = &piece.octets[..cut.unwrap_or(piece.octets.len())];
            place.size += shown_size(octets);
            place.text_end = piece.at + octets.len() as u64;
            scanned.ended = octets.is_empty() || octets.ends_with(b"\n");
            if cut.is_some() {
                scanned.closed = true;
                break;
            }
        }
        if blank > 0 {
            place.text_end -= blank as u64;
            place.size -= 2;
        }
        Ok(())
    }
}

enum Begin {
    /// Where the header begins, and the separator's date.
    At(u64, Option<InternalDate>),
    End,
    Other,
}

/// Where a line of MMDF, or what ends a text without a line end, becomes a delimiter.
fn delimited(shape: Shape, piece: &Piece<'_>) -> Option<usize> {
    let text = piece.octets.strip_suffix(DELIMITER).filter(|_| shape == Shape::Mmdf && piece.ends)?;
    let is_delimiter = (text.is_empty() && piece.begins) || piece.octets.len() >= DELIMITED_MIN;
    is_delimiter.then_some(text.len())
}

/// Octets with each line end as two and without CR.
fn shown_size(octets: &[u8]) -> u64 {
    let returns = memchr::memchr_iter(b'\r', octets).count();
    (octets.len() + memchr::memchr_iter(b'\n', octets).count() - returns) as u64
}

/// Takes the lines of a header.
#[derive(Default)]
struct Header {
    at: u64,
    spans: Vec<Span>,
    state: Vec<(Name, Vec<u8>)>,
    size: u64,
    hash: blake3::Hasher,
    shown_hash: blake3::Hasher,
    /// Whether the line, or the header of several lines, that we are in is not shown.
    hidden: bool,
}

impl Header {
    fn take(&mut self, piece: Piece<'_>) -> io::Result<()> {
        self.hash.update(piece.octets);
        if piece.begins && !matches!(piece.octets.first(), Some(b' ' | b'\t')) {
            let line = piece.octets.strip_suffix(b"\n").unwrap_or(piece.octets);
            let line = Line::parse(line.strip_suffix(b"\r").unwrap_or(line));
            self.hidden = line != Line::Shown;
            if let Line::State(name, value) = line
                && self.state.len() < STATE_LINES
            {
                self.state.push((name, value.to_vec()));
            }
        }
        if self.hidden {
            return self.hide(piece);
        }
        self.size += shown_size(piece.octets);
        // Whoever rewrites it may take CR out.
        for octets in piece.octets.split(|octet| *octet == b'\r') {
            self.shown_hash.update(octets);
        }
        Ok(())
    }

    fn take_blank(&mut self, octets: &[u8]) {
        self.hash.update(octets);
        self.size += 2;
    }

    fn hide(&mut self, piece: Piece<'_>) -> io::Result<()> {
        let too_long = || io::Error::other("a header has more than 4 GB");
        let from = u32::try_from(piece.at - self.at).map_err(|_| too_long())?;
        let octets = u32::try_from(piece.octets.len()).map_err(|_| too_long())?;
        from.checked_add(octets).ok_or_else(too_long)?;
        match self.spans.last_mut() {
            Some(last) if last.end() == from => last.octets += octets,
            _ => self.spans.push(Span { from, octets }),
        }
        Ok(())
    }
}
