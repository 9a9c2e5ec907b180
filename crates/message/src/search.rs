//! The text that SEARCH looks in (RFC 9051, 6.4.4): which bytes it is made of, and how they become text.
//!
//! Segments are read one after the other in chunks of any size, so that searching a message of any size takes bounded memory.

mod envelope;

use std::borrow::Cow;
use std::ops::Range;

pub use envelope::{EnvelopeField, envelope_contains};

use crate::casemap::{Matcher, Needle};
use crate::charset::TextDecoder;
use crate::content::Encoding;
use crate::encoded_word;
use crate::header::{self, unfold};
use crate::limits::HEADER_BYTES_MAX;
use crate::structure::Structure;
use crate::transfer::Decoder;

/// What of a message is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The text parts, in nested messages too.
    Body,
    /// All headers, the parts' own and those of nested messages included, and the text parts.
    Text,
}

/// Bytes of a message that are searched as one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// In bytes of the message.
    pub range: Range<u64>,
    kind: SegmentKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SegmentKind {
    Header,
    Text { encoding: Encoding, charset: Vec<u8> },
}

/// What to read for `scope`, in the message's order.
pub fn segments(structure: &Structure, scope: Scope) -> impl Iterator<Item = Segment> + '_ {
    structure.parts().iter().flat_map(move |part| {
        let header = (scope == Scope::Text && !part.header.is_empty())
            .then(|| Segment { range: part.header.clone(), kind: SegmentKind::Header });
        let text = (part.kind.is_text() && !part.body.is_empty()).then(|| {
            let content_type = structure.content_type(part);
            let charset =
                content_type.and_then(|found| found.parameter("charset")).map(Cow::into_owned).unwrap_or_default();
            Segment { range: part.body.clone(), kind: SegmentKind::Text { encoding: part.encoding, charset } }
        });
        header.into_iter().chain(text)
    })
}

/// Makes one segment's bytes text.
pub struct SegmentReader {
    kind: ReaderKind,
}

enum ReaderKind {
    Header { line: Vec<u8>, field: Vec<u8> },
    Text { decoder: Decoder, decoded: Vec<u8>, text: Box<TextDecoder> },
}

/// Body bytes decoded at a time.
const CHUNK_BYTES: usize = 16 << 10;

impl SegmentReader {
    pub fn new(segment: &Segment) -> Self {
        let kind = match &segment.kind {
            SegmentKind::Header => ReaderKind::Header { line: Vec::new(), field: Vec::new() },
            SegmentKind::Text { encoding, charset } => ReaderKind::Text {
                decoder: Decoder::new(*encoding),
                decoded: Vec::new(),
                text: Box::new(TextDecoder::new(charset)),
            },
        };
        Self { kind }
    }

    /// Takes the segment's next bytes and gives their text in pieces. Header fields come unfolded and decoded, with a line feed after
    /// each.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        match &mut self.kind {
            ReaderKind::Header { line, field } => push_header(bytes, line, field, sink),
            ReaderKind::Text { decoder, decoded, text } => {
                for chunk in bytes.chunks(CHUNK_BYTES) {
                    decoded.clear();
                    decoder.push(chunk, decoded);
                    text.push(decoded, sink);
                }
            }
        }
    }

    /// Ends the segment.
    pub fn finish(self, sink: &mut dyn FnMut(&str)) {
        match self.kind {
            ReaderKind::Header { line, mut field } => {
                take_header_line(&line, &mut field, sink);
                end_field(&mut field, sink);
            }
            ReaderKind::Text { decoder, mut decoded, mut text } => {
                decoded.clear();
                decoder.finish(&mut decoded);
                text.push(&decoded, sink);
                text.finish(sink);
            }
        }
    }
}

fn push_header(bytes: &[u8], line: &mut Vec<u8>, field: &mut Vec<u8>, sink: &mut dyn FnMut(&str)) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, following) = rest.split_at(header::line_length(rest));
        rest = following;
        let room = HEADER_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if piece.ends_with(b"\n") {
            take_header_line(line, field, sink);
            line.clear();
        }
    }
}

fn take_header_line(line: &[u8], field: &mut Vec<u8>, sink: &mut dyn FnMut(&str)) {
    if !header::is_continuation(line) {
        end_field(field, sink);
    }
    let room = HEADER_BYTES_MAX.saturating_sub(field.len());
    field.extend_from_slice(line.get(..room).unwrap_or(line));
}

fn end_field(field: &mut Vec<u8>, sink: &mut dyn FnMut(&str)) {
    let unfolded = unfold(field);
    if !unfolded.is_empty() {
        sink(&encoded_word::decode(&unfolded));
        sink("\n");
    }
    field.clear();
}

/// Whether a message held whole contains `needle`.
pub fn contains(message: &[u8], structure: &Structure, scope: Scope, needle: &Needle) -> bool {
    let mut matcher = Matcher::new(needle);
    for segment in segments(structure, scope) {
        if matcher.is_found() {
            break;
        }
        let bytes = usize::try_from(segment.range.start).ok().zip(usize::try_from(segment.range.end).ok());
        let bytes = bytes.and_then(|(start, end)| message.get(start..end)).unwrap_or_default();
        let mut reader = SegmentReader::new(&segment);
        // So that a match near the start of a large part is not followed by decoding all of it.
        for chunk in bytes.chunks(CHUNK_BYTES) {
            if !matcher.is_found() {
                reader.push(chunk, &mut |text| matcher.push(text));
            }
        }
        reader.finish(&mut |text| matcher.push(text));
        matcher.end_text();
    }
    matcher.is_found()
}

/// Whether a field `name` of `header` contains `needle`: the search keys HEADER, SUBJECT, FROM, TO, CC and BCC. An empty needle asks
/// whether there is such a field.
pub fn header_contains(header: &[u8], name: &[u8], needle: &Needle) -> bool {
    header::fields(header)
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .any(|field| needle.is_empty() || needle.is_in(&encoded_word::decode(&unfold(field.value))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const MESSAGE: &str = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an\r\n alle\r\nTo: Joe <joe@x>\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 au la=\r\nit\r\n--b\r\n\
        Content-Type: message/rfc822\r\nContent-Description: inner mail\r\n\r\nSubject: nested\r\n\
        Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybGQ=\r\n--b\r\n\
        Content-Type: image/png\r\nContent-Disposition: inline; filename=pic\r\n\r\nbinary\r\n--b--\r\n";

    fn finds(scope: Scope, text: &str) -> bool {
        let structure = parse(MESSAGE.as_bytes());
        contains(MESSAGE.as_bytes(), &structure, scope, &Needle::new(text))
    }

    #[test]
    fn body_is_the_text_of_the_parts() {
        for text in ["CAFÉ AU LAIT", "hello world", ""] {
            assert!(finds(Scope::Body, text), "{text}");
        }
        for text in ["grüße", "nested", "preamble", "binary", "inner mail", "lait hello"] {
            assert!(!finds(Scope::Body, text), "{text}");
        }
    }

    #[test]
    fn text_is_headers_too() {
        for text in ["Grüße an alle", "subject: n", "inner mail", "filename=PIC", "hello world", "joe@X"] {
            assert!(finds(Scope::Text, text), "{text}");
        }
        for text in ["preamble", "binary", "alle\r\nTo", "alleTo"] {
            assert!(!finds(Scope::Text, text), "{text}");
        }
    }

    #[test]
    fn fields_are_searched_by_name() {
        let header = MESSAGE.as_bytes();
        assert!(header_contains(header, b"SUBJECT", &Needle::new("grüße an")));
        assert!(header_contains(header, b"to", &Needle::new("")));
        assert!(!header_contains(header, b"Cc", &Needle::new("")));
        assert!(!header_contains(header, b"To", &Needle::new("grüße")));
    }

    #[test]
    fn text_does_not_depend_on_chunks() {
        let structure = parse(MESSAGE.as_bytes());
        for segment in segments(&structure, Scope::Text) {
            let bytes = &MESSAGE.as_bytes()[segment.range.start as usize..segment.range.end as usize];
            let read = |size: usize| {
                let mut text = String::new();
                let mut reader = SegmentReader::new(&segment);
                bytes.chunks(size).for_each(|chunk| reader.push(chunk, &mut |piece| text.push_str(piece)));
                reader.finish(&mut |piece| text.push_str(piece));
                text
            };
            assert_eq!(read(1), read(usize::MAX));
        }
    }
}
