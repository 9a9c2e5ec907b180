//! The table of parts in a summary: about eight bytes a part.

use crate::content::Encoding;
use crate::section::PartEntry;
use crate::structure::PartKind;
use crate::summary::{read_number, write_number};

const KINDS: [PartKind; 6] = [
    PartKind::Multipart,
    PartKind::Message,
    PartKind::Text,
    PartKind::Other,
    PartKind::BrokenMultipart,
    PartKind::Opaque,
];

const ENCODINGS: [Encoding; 6] = [
    Encoding::SevenBit,
    Encoding::EightBit,
    Encoding::Binary,
    Encoding::Base64,
    Encoding::QuotedPrintable,
    Encoding::Unknown,
];

/// Writes each part as a byte for kind and encoding, then numbers: its depth, how far its header starts behind that of the part before,
/// the lengths of header and body.
pub(super) fn write(entries: impl Iterator<Item = PartEntry>, out: &mut Vec<u8>) {
    let place = |found: Option<usize>| found.unwrap_or(0) as u8;
    let mut header_start = 0;
    for entry in entries {
        let kind = place(KINDS.iter().position(|&kind| kind == entry.kind));
        let encoding = place(ENCODINGS.iter().position(|&encoding| encoding == entry.encoding));
        out.push(kind << 4 | encoding);
        write_number(entry.depth as u64, out);
        write_number(entry.header.start - header_start, out);
        write_number(entry.header.end - entry.header.start, out);
        write_number(entry.body.end - entry.body.start, out);
        header_start = entry.header.start;
    }
}

/// Reads the parts back; stops at bytes that are none.
#[derive(Debug, Clone)]
pub(super) struct Entries<'a> {
    pub(super) rest: &'a [u8],
    header_start: u64,
}

impl<'a> Entries<'a> {
    pub(super) fn new(table: &'a [u8]) -> Self {
        Self { rest: table, header_start: 0 }
    }
}

impl Iterator for Entries<'_> {
    type Item = PartEntry;

    fn next(&mut self) -> Option<PartEntry> {
        let (&byte, mut rest) = self.rest.split_first()?;
        let kind = *KINDS.get(usize::from(byte >> 4))?;
        let encoding = *ENCODINGS.get(usize::from(byte & 15))?;
        let depth = usize::try_from(read_number(&mut rest)?).ok()?;
        let header_start = self.header_start.checked_add(read_number(&mut rest)?)?;
        let body_start = header_start.checked_add(read_number(&mut rest)?)?;
        let body_end = body_start.checked_add(read_number(&mut rest)?)?;
        self.rest = rest;
        self.header_start = header_start;
        Some(PartEntry { kind, encoding, depth, header: header_start..body_start, body: body_start..body_end })
    }
}
