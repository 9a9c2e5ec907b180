//! The splitter: a message's bytes, in chunks of any size, to its [`Structure`].
//!
//! It keeps the fields it needs and offsets, never bodies, so that its memory does not grow with the message beyond
//! [`crate::limits`]. Every byte is looked at a fixed number of times, whatever the nesting.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::{memchr, memchr_iter, memmem};

use crate::content::{ContentType, Disposition, Encoding};
use crate::header;
use crate::limits::{
    BOUNDARY_BYTES_MAX, DEPTH_MAX, HEADER_BYTES_MAX, HEADER_FIELDS_MAX, KEPT_BYTES_MAX, PARTS_MAX,
    PREVIEW_SOURCE_BYTES_MAX,
};
use crate::structure::{Part, PartIndex, PartKind, Structure};

/// The fields of any part that are kept.
const PART_FIELDS: [&str; 9] = [
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "Content-Description",
    "Content-MD5",
    "Content-Language",
    "Content-Location",
    "Content-Base",
];

/// The fields of a message that are kept beside them.
const MESSAGE_FIELDS: [&str; 11] =
    ["Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID", "References"];

/// The longest line that can be a delimiter: two hyphens before and after the boundary, and some white space.
const DELIMITER_LINE_BYTES_MAX: usize = BOUNDARY_BYTES_MAX + 256;

/// Splits a whole message.
pub fn parse(message: &[u8]) -> Structure {
    let mut splitter = Splitter::new();
    splitter.push(message);
    splitter.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a header, at the start of a line or (with bytes in `line`) within one.
    Header,
    /// In a body, at the start of a line.
    LineStart,
    /// In a body, in a line that may be a delimiter; its bytes so far are in `line`.
    Candidate,
    /// In a body, in a line that is no delimiter.
    Within,
}

/// A multipart whose next delimiter is looked for.
#[derive(Debug)]
struct Level {
    part: PartIndex,
    boundary: Vec<u8>,
    is_digest: bool,
}

/// A place between two bytes of the message.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    offset: u64,
    line_feeds: u64,
    /// The length of the line break that ends here.
    break_length: u64,
}

/// Takes a message chunk by chunk. What comes back does not depend on where the chunks end.
///
/// ```
/// use paquebot_message::{Splitter, parse};
/// let mut splitter = Splitter::new();
/// splitter.push(b"Subject: hel");
/// splitter.push(b"lo\r\n\r\nworld\r\n");
/// assert_eq!(splitter.finish(), parse(b"Subject: hello\r\n\r\nworld\r\n"));
/// ```
#[derive(Debug)]
pub struct Splitter {
    parts: Vec<Part>,
    kept: Vec<u8>,
    /// Where the bytes consumed so far end, and the last two of them.
    offset: u64,
    line_feeds: u64,
    last: [u8; 2],
    place: Place,
    /// Where the line in `line` starts.
    line_start: Mark,
    /// An unfinished line, as much of it as matters.
    line: Vec<u8>,
    /// The innermost open part.
    current: PartIndex,
    /// Of the current header: fields seen, bytes kept, and whether the present field is kept.
    fields_seen: usize,
    fields_kept: usize,
    keeping: bool,
    levels: Vec<Level>,
    /// Boundaries to the levels that have them, outermost first: a delimiter line is one look-up, however deep the nesting.
    boundaries: BTreeMap<Vec<u8>, Vec<usize>>,
    delimiter_start: memmem::Finder<'static>,
    preview_source: Option<(PartIndex, Vec<u8>)>,
    capturing: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    pub fn new() -> Self {
        let mut splitter = Self {
            parts: Vec::new(),
            kept: Vec::new(),
            offset: 0,
            line_feeds: 0,
            last: [0; 2],
            place: Place::Header,
            line_start: Mark::default(),
            line: Vec::new(),
            current: 0,
            fields_seen: 0,
            fields_kept: 0,
            keeping: false,
            levels: Vec::new(),
            boundaries: BTreeMap::new(),
            delimiter_start: memmem::Finder::new(b"\n--"),
            preview_source: None,
            capturing: false,
        };
        splitter.open(None, false, 0);
        splitter
    }

    /// Takes the next bytes of the message.
    pub fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            let used = match self.place {
                Place::Header | Place::Candidate => self.push_line(rest),
                Place::LineStart => {
                    self.place = if first == b'-' { Place::Candidate } else { Place::Within };
                    0
                }
                Place::Within => self.push_body(rest),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Ends the message: whatever is still open ends here.
    pub fn finish(mut self) -> Structure {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line);
        }
        let end = self.mark();
        self.end_headers(end);
        self.close_until(None, end);
        Structure { parts: self.parts, kept: self.kept, size: self.offset, preview_source: self.preview_source }
    }

    fn mark(&self) -> Mark {
        Mark { offset: self.offset, line_feeds: self.line_feeds, break_length: 0 }
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.line_feeds += memchr_iter(b'\n', bytes).count() as u64;
        match *bytes {
            [] => {}
            [byte] => self.last = [self.last[1], byte],
            [.., before, byte] => self.last = [before, byte],
        }
        if self.capturing
            && let Some((_, source)) = &mut self.preview_source
        {
            let room = PREVIEW_SOURCE_BYTES_MAX.saturating_sub(source.len());
            source.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// Takes a line, or a piece of one, in a header or where a delimiter may be; gives how many bytes.
    fn push_line(&mut self, rest: &[u8]) -> usize {
        let is_start = self.line.is_empty();
        if is_start {
            self.line_start = self.mark();
            self.line_start.break_length = match self.last {
                [b'\r', b'\n'] => 2,
                [_, b'\n'] => 1,
                _ => 0,
            };
        }
        let piece = rest.get(..header::line_length(rest)).unwrap_or(rest);
        self.advance(piece);
        let is_whole = piece.last() == Some(&b'\n');
        if is_start && is_whole {
            self.take_line(piece);
            return piece.len();
        }
        if self.place == Place::Header {
            let room = HEADER_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        } else if self.line.len() + piece.len() <= DELIMITER_LINE_BYTES_MAX {
            self.line.extend_from_slice(piece);
        } else {
            self.line.clear();
            self.place = if is_whole { Place::LineStart } else { Place::Within };
            return piece.len();
        }
        if is_whole {
            let mut line = std::mem::take(&mut self.line);
            self.take_line(&line);
            line.clear();
            self.line = line;
        }
        piece.len()
    }

    /// Takes body bytes up to the next line that starts with two hyphens; gives how many.
    fn push_body(&mut self, rest: &[u8]) -> usize {
        if self.boundaries.is_empty() {
            self.advance(rest);
            return rest.len();
        }
        let (length, place) = match self.delimiter_start.find(rest) {
            Some(at) => (at + 1, Place::LineStart),
            None if rest.ends_with(b"\n-") => (rest.len() - 1, Place::LineStart),
            None if rest.ends_with(b"\n") => (rest.len(), Place::LineStart),
            None => (rest.len(), Place::Within),
        };
        self.advance(rest.get(..length).unwrap_or(rest));
        self.place = place;
        length
    }

    fn take_line(&mut self, line: &[u8]) {
        if let Some((level, is_close)) = self.find_delimiter(line)
            && self.delimiter(level, is_close)
        {
            return;
        }
        if self.place == Place::Header {
            self.header_line(line);
        } else {
            self.place = Place::LineStart;
        }
    }

    fn header_line(&mut self, line: &[u8]) {
        if header::is_blank(line) {
            let end = self.mark();
            return self.end_header(end);
        }
        if !header::is_continuation(line) {
            self.fields_seen += 1;
            self.keeping = self.fields_seen <= HEADER_FIELDS_MAX && self.is_wanted(line);
        }
        if self.keeping {
            let room = (HEADER_BYTES_MAX - self.fields_kept).min(KEPT_BYTES_MAX.saturating_sub(self.kept.len()));
            let piece = line.get(..room).unwrap_or(line);
            self.fields_kept += piece.len();
            self.kept.extend_from_slice(piece);
            if piece.last().is_some_and(|&byte| byte != b'\n') {
                self.kept.push(b'\n');
            }
        }
    }

    fn is_wanted(&self, line: &[u8]) -> bool {
        let Some(colon) = memchr(b':', line) else { return false };
        let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
        let is_in = |names: &[&str]| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()));
        is_in(&PART_FIELDS) || (self.is_message(self.current) && is_in(&MESSAGE_FIELDS))
    }

    /// Whether a part is a message's root rather than a part of a multipart.
    fn is_message(&self, part: PartIndex) -> bool {
        let parent = self.parts.get(part).and_then(|part| part.parent);
        parent.and_then(|parent| self.parts.get(parent)).is_none_or(|parent| parent.kind == PartKind::Message)
    }

    /// The level whose delimiter `line` is, and whether it is the last one (RFC 2046, 5.1.1). White space may follow.
    fn find_delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        if self.boundaries.is_empty() || line.len() > DELIMITER_LINE_BYTES_MAX {
            return None;
        }
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let innermost = |boundary: &[u8]| self.boundaries.get(boundary).and_then(|levels| levels.last().copied());
        if let Some(level) = innermost(text) {
            return Some((level, false));
        }
        text.strip_suffix(b"--").and_then(innermost).map(|level| (level, true))
    }

    /// Ends what the delimiter in the line just taken ends, and opens the next part. `false` if there is no room for one: then
    /// the line and all that follows belong to the present part.
    fn delimiter(&mut self, level: usize, is_close: bool) -> bool {
        if !is_close && self.parts.len() >= PARTS_MAX {
            self.levels.clear();
            self.boundaries.clear();
            return false;
        }
        self.end_headers(self.line_start);
        while self.levels.len() > level + 1 {
            self.pop_level();
        }
        let Some(&Level { part, is_digest, .. }) = self.levels.get(level) else { return false };
        self.close_until(Some(part), self.line_start);
        self.current = part;
        if is_close {
            self.pop_level();
            self.place = Place::LineStart;
        } else {
            self.open(Some(part), is_digest, self.offset);
        }
        true
    }

    fn pop_level(&mut self) {
        if let Some(level) = self.levels.pop()
            && let Some(levels) = self.boundaries.get_mut(&level.boundary)
        {
            levels.pop();
            if levels.is_empty() {
                self.boundaries.remove(&level.boundary);
            }
        }
    }

    fn open(&mut self, parent: Option<PartIndex>, in_digest: bool, offset: u64) {
        let depth = parent.and_then(|parent| self.parts.get(parent)).map_or(0, |parent| parent.depth + 1);
        self.current = self.parts.len();
        self.parts.push(Part {
            kind: PartKind::Other,
            parent,
            depth,
            subtree_end: self.current,
            header: offset..offset,
            body: offset..offset,
            lines: 0,
            encoding: Encoding::SevenBit,
            in_digest,
            fields: self.kept.len()..self.kept.len(),
        });
        self.fields_seen = 0;
        self.fields_kept = 0;
        self.keeping = false;
        self.place = Place::Header;
    }

    /// Ends the header that is open at `end`, if any, and that of the empty message that its part may hold.
    fn end_headers(&mut self, end: Mark) {
        while self.place == Place::Header {
            self.end_header(end);
        }
    }

    fn end_header(&mut self, end: Mark) {
        let index = self.current;
        let has_room = self.parts.len() < PARTS_MAX;
        self.place = Place::LineStart;
        let Some(part) = self.parts.get_mut(index) else { return };
        part.header.end = end.offset;
        part.body = end.offset..end.offset;
        // Until the part is closed this is where its body starts.
        part.lines = end.line_feeds;
        part.fields.end = self.kept.len();

        let header = ReadHeader::new(self.kept.get(part.fields.clone()).unwrap_or_default());
        part.encoding = header.encoding;
        part.kind = header.kind(part, has_room);
        match part.kind {
            PartKind::Message => self.open(Some(index), false, end.offset),
            PartKind::Multipart => {
                let boundary = header.boundary.into_owned();
                self.boundaries.entry(boundary.clone()).or_default().push(self.levels.len());
                self.levels.push(Level { part: index, boundary, is_digest: header.is_digest });
            }
            kind if self.preview_source.is_none() && kind.is_text() && header.is_readable => {
                self.preview_source = Some((index, Vec::new()));
                self.capturing = true;
            }
            _ => {}
        }
    }

    /// Closes the open parts within `outer` (all, if it is `None`). Their bodies end before the line break that ends at `end`, unless
    /// that is the blank line of a header: then it is still the header's, and all parts around it end after it.
    fn close_until(&mut self, outer: Option<PartIndex>, end: Mark) {
        let mut body_end = end.offset.saturating_sub(end.break_length);
        let subtree_end = self.parts.len();
        let mut next = Some(self.current);
        while let Some(index) = next
            && next != outer
        {
            let Some(part) = self.parts.get_mut(index) else { return };
            body_end = body_end.max(part.body.start);
            part.body.end = body_end;
            let line_feeds = end.line_feeds - u64::from(body_end < end.offset);
            part.lines = line_feeds.saturating_sub(part.lines);
            part.subtree_end = subtree_end;
            if part.kind == PartKind::Multipart && subtree_end == index + 1 {
                part.kind = PartKind::BrokenMultipart;
            }
            next = part.parent;
            if self.capturing
                && let Some((source_of, source)) = &mut self.preview_source
                && *source_of == index
            {
                self.capturing = false;
                source.truncate(usize::try_from(part.body.end - part.body.start).unwrap_or(usize::MAX));
                if source.is_empty() {
                    self.preview_source = None;
                }
            }
        }
    }
}

/// What the fields of a part's header say about how to split it.
struct ReadHeader<'a> {
    content_type: Option<ContentType<'a>>,
    encoding: Encoding,
    /// Empty if there is none that can be used.
    boundary: Cow<'a, [u8]>,
    is_digest: bool,
    /// Whether a preview may be made of the part.
    is_readable: bool,
}

impl<'a> ReadHeader<'a> {
    fn new(fields: &'a [u8]) -> Self {
        let value = |name| header::fields(fields).find(|field| field.is(name)).map(|field| field.value);
        let content_type = value("Content-Type").and_then(ContentType::parse);
        let is = |kind, subtype| content_type.as_ref().is_some_and(|found| found.is(kind, subtype));
        let is_digest = is("multipart", "digest");
        let is_text = content_type.as_ref().is_some_and(|found| found.is_kind("text"));
        let is_attachment = value("Content-Disposition")
            .and_then(Disposition::parse)
            .is_some_and(|found| found.kind.eq_ignore_ascii_case(b"attachment"));
        let mut boundary = content_type.as_ref().and_then(|found| found.parameter("boundary")).unwrap_or_default();
        if boundary.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            // Folded within its quotes (RFC 5322, 2.2.3: what a line break hides is the white space after it, not the break).
            boundary = Cow::Owned(boundary.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect());
        }
        if boundary.last().is_some_and(u8::is_ascii_whitespace) {
            boundary = Cow::Owned(boundary.trim_ascii_end().to_vec());
        }
        if boundary.len() > BOUNDARY_BYTES_MAX {
            boundary = Cow::Borrowed(&[]);
        }
        let is_readable = !is_attachment && (!is_text || is("text", "plain") || is("text", "html"));
        let encoding = value("Content-Transfer-Encoding").map_or(Encoding::SevenBit, Encoding::parse);
        Self { content_type, encoding, boundary, is_digest, is_readable }
    }

    fn kind(&self, part: &Part, has_room: bool) -> PartKind {
        let is_shallow = part.depth < DEPTH_MAX;
        match &self.content_type {
            None if !part.in_digest => PartKind::Text,
            Some(found) if found.is_kind("text") => PartKind::Text,
            Some(found) if found.is_kind("multipart") => match self.boundary.is_empty() {
                true => PartKind::BrokenMultipart,
                false if is_shallow => PartKind::Multipart,
                false => PartKind::Opaque,
            },
            Some(found) if !(found.is("message", "rfc822") || found.is("message", "global")) => PartKind::Other,
            _ if is_shallow && has_room => PartKind::Message,
            _ => PartKind::Opaque,
        }
    }
}
