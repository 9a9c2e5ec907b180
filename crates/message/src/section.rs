//! Sections: which bytes `BODY[1.2.HEADER]` and `BINARY[1.2]` mean (RFC 9051, 6.4.5; RFC 3516).
//!
//! They are found in the parts' table, which both [`crate::Structure`] and [`crate::SummaryRef`] give, so that no body is parsed again.

use std::ops::Range;

use memchr::memchr;

use crate::content::Encoding;
use crate::header;
use crate::structure::PartKind;

/// One part, as much of it as sections need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartEntry {
    pub kind: PartKind,
    pub encoding: Encoding,
    pub depth: usize,
    pub header: Range<u64>,
    pub body: Range<u64>,
}

/// What of a part is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionText {
    /// `BODY[]`, `BODY[1.2]`: the whole message, or a part's body.
    Whole,
    /// `HEADER`, with the blank line; of the message, or of one in a message part. HEADER.FIELDS is chosen from it by
    /// [`FieldSelector`].
    Header,
    /// `TEXT`: the body of what HEADER gives the header of.
    Text,
    /// `MIME`: a part's own header; never without a part number.
    Mime,
}

/// The bytes of the message that the section `path` and `text` means. `None` if there is no such part or it has no such text.
///
/// `entries` is the parts' table in preorder. Part 1 of a message that is no multipart is its body.
pub fn resolve<I>(entries: I, path: &[u32], text: SectionText) -> Option<Range<u64>>
where
    I: Iterator<Item = PartEntry> + Clone,
{
    let (part, mut following) = locate(entries, path)?;
    let is_root = path.is_empty();
    match text {
        SectionText::Whole if is_root => Some(part.header.start..part.body.end),
        SectionText::Whole => Some(part.body),
        SectionText::Mime if is_root => None,
        SectionText::Mime => Some(part.header),
        SectionText::Header | SectionText::Text => {
            let message = match part.kind {
                _ if is_root => part,
                PartKind::Message => following.next()?,
                _ => return None,
            };
            Some(if text == SectionText::Header { message.header } else { message.body })
        }
    }
}

/// What `BINARY[path]` decodes: the bytes of the message and how they are encoded. An empty path is the whole message, which is not
/// encoded; nor are multiparts and messages (RFC 2045, 6.4). `None` if there is no such part.
///
/// A part with [`Encoding::Unknown`] is answered NO `[UNKNOWN-CTE]`.
pub fn resolve_binary<I>(entries: I, path: &[u32]) -> Option<(Range<u64>, Encoding)>
where
    I: Iterator<Item = PartEntry> + Clone,
{
    let (part, _) = locate(entries, path)?;
    if path.is_empty() {
        return Some((part.header.start..part.body.end, Encoding::Binary));
    }
    let encoding = if part.kind.is_leaf() { part.encoding } else { Encoding::Binary };
    Some((part.body, encoding))
}

/// The part at `path`, and the entries that follow it.
fn locate<I>(mut entries: I, path: &[u32]) -> Option<(PartEntry, I)>
where
    I: Iterator<Item = PartEntry> + Clone,
{
    let mut part = entries.next()?;
    // Whether `part` is the root of a message: then it is both the message and, if it is no multipart, the message's part 1.
    let mut is_root = true;
    for &number in path {
        if !is_root && part.kind == PartKind::Message {
            part = entries.next()?;
            is_root = true;
        }
        if part.kind == PartKind::Multipart {
            let child_depth = part.depth + 1;
            let mut left = number;
            part = loop {
                let entry = entries.next()?;
                if entry.depth < child_depth {
                    return None;
                }
                if entry.depth == child_depth {
                    left = left.checked_sub(1)?;
                    if left == 0 {
                        break entry;
                    }
                }
            };
        } else if !is_root || number != 1 {
            return None;
        }
        is_root = false;
    }
    Some((part, entries))
}

/// Chooses lines of a header for HEADER.FIELDS and HEADER.FIELDS.NOT; the header comes in chunks of any size.
///
/// The fields come as stored, in the message's order, then a blank line, also where the header has none (RFC 9051, 6.4.5).
#[derive(Debug)]
pub struct FieldSelector<'a> {
    names: &'a [&'a [u8]],
    selection: Selection,
    /// The start of a line whose name is not known yet.
    pending: Vec<u8>,
    state: Line,
    last: u8,
}

/// Whether the named fields are wanted or all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    Fields,
    FieldsNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// At the start of a line; the field before was chosen or not.
    Start {
        chosen: bool,
    },
    /// In a name.
    Name,
    /// In a line known to be chosen or not.
    Rest {
        chosen: bool,
    },
    End,
}

/// A field name in a command is never longer than a command line.
const NAME_BYTES_MAX: usize = 8 << 10;

impl<'a> FieldSelector<'a> {
    pub fn new(selection: Selection, names: &'a [&'a [u8]]) -> Self {
        Self { names, selection, pending: Vec::new(), state: Line::Start { chosen: false }, last: b'\n' }
    }

    /// Takes the next bytes of the header and adds what is chosen of them to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            let used = match self.state {
                Line::End => return,
                Line::Start { chosen } => {
                    self.state = if first == b' ' || first == b'\t' { Line::Rest { chosen } } else { Line::Name };
                    0
                }
                Line::Name => self.push_name(rest, out),
                Line::Rest { chosen } => {
                    let length = header::line_length(rest);
                    let piece = rest.get(..length).unwrap_or(rest);
                    self.emit(chosen, piece, out);
                    if piece.last() == Some(&b'\n') {
                        self.state = Line::Start { chosen };
                    }
                    length
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Ends the header: adds the blank line.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.state == Line::Name {
            let pending = std::mem::take(&mut self.pending);
            let chosen = self.is_chosen(&pending);
            self.emit(chosen, &pending, out);
        }
        if self.last != b'\n' {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn push_name(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let line = rest.get(..header::line_length(rest)).unwrap_or(rest);
        let length = memchr(b':', line).map_or(line.len(), |at| at + 1);
        let piece = line.get(..length).unwrap_or(line);
        self.pending.extend_from_slice(piece);
        let ends_line = piece.last() == Some(&b'\n');
        if !ends_line && piece.last() != Some(&b':') && self.pending.len() < NAME_BYTES_MAX {
            return length;
        }
        let mut pending = std::mem::take(&mut self.pending);
        if header::is_blank(&pending) {
            self.state = Line::End;
        } else {
            let chosen = self.is_chosen(&pending);
            self.emit(chosen, &pending, out);
            self.state = if ends_line { Line::Start { chosen } } else { Line::Rest { chosen } };
        }
        pending.clear();
        self.pending = pending;
        length
    }

    /// Lines that are no fields belong to no list, so that HEADER.FIELDS.NOT shows them.
    fn is_chosen(&self, start: &[u8]) -> bool {
        let name = start.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        let is_named = name.is_some_and(|name| self.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
        is_named == (self.selection == Selection::Fields)
    }

    fn emit(&mut self, chosen: bool, piece: &[u8], out: &mut Vec<u8>) {
        if chosen && let Some(&last) = piece.last() {
            out.extend_from_slice(piece);
            self.last = last;
        }
    }
}

/// The answer to HEADER.FIELDS or HEADER.FIELDS.NOT from a header held whole.
pub fn select_fields(header: &[u8], selection: Selection, names: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut selector = FieldSelector::new(selection, names);
    selector.push(header, &mut out);
    selector.finish(&mut out);
    out
}
