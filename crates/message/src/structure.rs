//! What a message is made of: parts as byte ranges, held flat.

use std::ops::Range;

use crate::content::{ContentType, Disposition, Encoding};
use crate::header::{self, Field};
use crate::section::PartEntry;

/// A part's place in [`Structure::parts`]; 0 is the message itself.
pub type PartIndex = usize;

/// What a part is, as sections and BODYSTRUCTURE take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// Has at least one part.
    Multipart,
    /// message/rfc822 or message/global; has exactly one part: the root of the message within.
    Message,
    /// A text leaf.
    Text,
    /// Any other leaf.
    Other,
    /// A multipart without a usable boundary or without a delimiter line: a text/plain leaf, so that the text can be read
    /// (RFC 2045, 5.2).
    BrokenMultipart,
    /// A multipart or message beyond the limits: an application/octet-stream leaf.
    Opaque,
}

impl PartKind {
    /// Whether the part has no parts.
    pub fn is_leaf(self) -> bool {
        !matches!(self, Self::Multipart | Self::Message)
    }

    /// Whether the part is shown as text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::BrokenMultipart)
    }
}

/// One part. Its header and its body touch, the blank line belonging to the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    /// The part that this one is in; `None` for the message itself.
    pub parent: Option<PartIndex>,
    /// How many parts this one is in.
    pub depth: usize,
    /// The part after this one and all that are in it, as parts are in preorder.
    pub subtree_end: PartIndex,
    /// In bytes of the message.
    pub header: Range<u64>,
    /// In bytes of the message. The line break before a delimiter line is the delimiter's (RFC 2046, 5.1.1).
    pub body: Range<u64>,
    /// Line feeds in the body.
    pub lines: u64,
    pub encoding: Encoding,
    /// Whether the type is message/rfc822 where none is said, as multipart/digest has it.
    pub(crate) in_digest: bool,
    /// The fields kept of the header, as a range of [`Structure::kept`].
    pub(crate) fields: Range<usize>,
}

/// A message's parts. Whatever the bytes were, there is one: see [`crate::limits`] for how deep it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// In preorder; never empty.
    pub(crate) parts: Vec<Part>,
    pub(crate) kept: Vec<u8>,
    pub(crate) size: u64,
    /// The first text part's first bytes, still encoded.
    pub(crate) preview_source: Option<(PartIndex, Vec<u8>)>,
}

impl Structure {
    /// All parts in preorder, the message itself first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The message's length: RFC822.SIZE.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The length of the message's header with its blank line.
    pub fn header_length(&self) -> u64 {
        self.parts.first().map_or(0, |root| root.header.end)
    }

    /// The fields that were kept of a part's header: Content-*, and for a message those of ENVELOPE and References.
    pub fn fields(&self, part: &Part) -> impl Iterator<Item = Field<'_>> + Clone + use<'_> {
        header::fields(self.kept.get(part.fields.clone()).unwrap_or_default())
    }

    /// The value of the first field `name` of a part's header, as stored.
    pub fn field(&self, part: &Part, name: &str) -> Option<&[u8]> {
        self.fields(part).find(|field| field.is(name)).map(|field| field.value)
    }

    /// The part's Content-Type as stored; `None` if it has none that can be read.
    pub fn content_type(&self, part: &Part) -> Option<ContentType<'_>> {
        self.field(part, "Content-Type").and_then(ContentType::parse)
    }

    /// The part's Content-Disposition; `None` if it has none that can be read.
    pub fn disposition(&self, part: &Part) -> Option<Disposition<'_>> {
        self.field(part, "Content-Disposition").and_then(Disposition::parse)
    }

    /// The parts as the table that sections are resolved in.
    pub fn entries(&self) -> impl Iterator<Item = PartEntry> + Clone + '_ {
        self.parts.iter().map(|part| PartEntry {
            kind: part.kind,
            encoding: part.encoding,
            depth: part.depth,
            header: part.header.clone(),
            body: part.body.clone(),
        })
    }
}
