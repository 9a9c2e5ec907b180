//! BODYSTRUCTURE and BODY (RFC 9051, 7.5.2).
//!
//! Both are one text: BODY is BODYSTRUCTURE without the extension data, so that the latter is written with the ranges to cut.
//! What cannot be shown as it is keeps the grammar all the same: a multipart without parts is a text/plain leaf, a multipart or message
//! beyond the limits an application/octet-stream leaf. Parameters come as stored, RFC 2231's pieces included.

use std::borrow::Cow;
use std::ops::Range;

use crate::content::{Disposition, Parameters, encoding_token};
use crate::envelope::write_envelope;
use crate::header::unfold;
use crate::structure::{Part, PartKind, Structure};
use crate::wire::{Form, nstring, string};

/// The text of BODYSTRUCTURE, and what of it to leave out for BODY.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BodyStructure {
    pub text: Vec<u8>,
    /// Ranges of `text`, ascending and apart.
    pub extensions: Vec<Range<usize>>,
}

impl BodyStructure {
    /// The text of BODY, in pieces.
    pub fn body(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.extensions.iter().map(|cut| cut.end));
        let ends = self.extensions.iter().map(|cut| cut.start).chain(std::iter::once(self.text.len()));
        starts.zip(ends).map(|(start, end)| self.text.get(start..end).unwrap_or_default())
    }
}

/// Writes the structure of a whole message.
pub fn body_structure(structure: &Structure, form: Form) -> BodyStructure {
    let mut writer = Writer { structure, form, written: BodyStructure::default() };
    // Parts are in preorder, so that a part is over once one comes that is not within it.
    let mut open: Vec<&Part> = Vec::new();
    for (index, part) in structure.parts().iter().enumerate() {
        while let Some(&last) = open.last()
            && last.subtree_end <= index
        {
            writer.end(last);
            open.pop();
        }
        if writer.begin(part, structure.parts().get(index + 1)) {
            open.push(part);
        }
    }
    while let Some(part) = open.pop() {
        writer.end(part);
    }
    writer.written
}

struct Writer<'a> {
    structure: &'a Structure,
    form: Form,
    written: BodyStructure,
}

impl Writer<'_> {
    /// Writes a leaf whole, or what comes before the parts of another; gives whether its end is still to be written.
    fn begin(&mut self, part: &Part, child: Option<&Part>) -> bool {
        self.raw("(");
        match part.kind {
            PartKind::Multipart => return true,
            PartKind::Message => {
                self.basic_fields(part);
                self.raw(" ");
                if let Some(message) = child {
                    write_envelope(self.structure, message, self.form, &mut self.written.text);
                }
                self.raw(" ");
                return true;
            }
            PartKind::Text | PartKind::BrokenMultipart => {
                self.basic_fields(part);
                self.number(part.lines);
            }
            PartKind::Other | PartKind::Opaque => self.basic_fields(part),
        }
        self.leaf_extensions(part);
        self.raw(")");
        false
    }

    fn end(&mut self, part: &Part) {
        if part.kind == PartKind::Multipart {
            let content_type = self.structure.content_type(part);
            let subtype = content_type.as_ref().map_or(&b"mixed"[..], |found| found.subtype);
            self.raw(" ");
            self.string(subtype);
            let start = self.written.text.len();
            self.raw(" ");
            self.parameters(content_type.map(|found| found.parameters));
            self.common_extensions(part);
            self.cut_from(start);
        } else {
            self.number(part.lines);
            self.leaf_extensions(part);
        }
        self.raw(")");
    }

    /// Writes type, subtype, parameters, id, description, encoding and size.
    fn basic_fields(&mut self, part: &Part) {
        let stored = self.structure.content_type(part);
        match (part.kind, stored) {
            (PartKind::Opaque, _) => self.raw("\"application\" \"octet-stream\" NIL"),
            (PartKind::BrokenMultipart, _) => self.raw("\"text\" \"plain\" NIL"),
            (_, Some(found)) => {
                self.string(found.kind);
                self.raw(" ");
                self.string(found.subtype);
                self.raw(" ");
                self.parameters(Some(found.parameters));
            }
            (PartKind::Message, None) => self.raw("\"message\" \"rfc822\" NIL"),
            (_, None) => self.raw("\"text\" \"plain\" (\"charset\" \"us-ascii\")"),
        }
        self.raw(" ");
        self.field(part, "Content-ID");
        self.raw(" ");
        self.field(part, "Content-Description");
        self.raw(" ");
        let encoding = self.structure.field(part, "Content-Transfer-Encoding").map(encoding_token).unwrap_or_default();
        self.string(if encoding.is_empty() { b"7bit" } else { encoding });
        self.number(part.body.end - part.body.start);
    }

    fn leaf_extensions(&mut self, part: &Part) {
        let start = self.written.text.len();
        self.raw(" ");
        self.field(part, "Content-MD5");
        self.common_extensions(part);
        self.cut_from(start);
    }

    /// Writes disposition, language and location.
    fn common_extensions(&mut self, part: &Part) {
        self.raw(" ");
        match self.structure.field(part, "Content-Disposition").and_then(Disposition::parse) {
            Some(found) => {
                self.raw("(");
                self.string(found.kind);
                self.raw(" ");
                self.parameters(Some(found.parameters));
                self.raw(")");
            }
            None => self.raw("NIL"),
        }
        self.raw(" ");
        self.languages(part);
        self.raw(" ");
        self.field(part, "Content-Location");
    }

    fn languages(&mut self, part: &Part) {
        let value = self.structure.field(part, "Content-Language").map(unfold).unwrap_or_default();
        let tags = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty());
        let mut any = false;
        for tag in tags {
            self.raw(if any { " " } else { "(" });
            self.string(tag);
            any = true;
        }
        self.raw(if any { ")" } else { "NIL" });
    }

    fn parameters(&mut self, parameters: Option<Parameters<'_>>) {
        let mut any = false;
        for (name, value) in parameters.into_iter().flatten() {
            self.raw(if any { " " } else { "(" });
            self.string(name);
            self.raw(" ");
            self.string(&value);
            any = true;
        }
        self.raw(if any { ")" } else { "NIL" });
    }

    fn field(&mut self, part: &Part, name: &str) {
        nstring(self.structure.field(part, name), self.form, &mut self.written.text);
    }

    /// Writes a string out of a field that may still be folded.
    fn string(&mut self, value: &[u8]) {
        let value: Cow<'_, [u8]> = unfold(value);
        string(&value, self.form, &mut self.written.text);
    }

    fn number(&mut self, value: u64) {
        self.raw(" ");
        self.raw(&value.to_string());
    }

    fn raw(&mut self, text: &str) {
        self.written.text.extend_from_slice(text.as_bytes());
    }

    /// Everything from `start` is extension data.
    fn cut_from(&mut self, start: usize) {
        self.written.extensions.push(start..self.written.text.len());
    }
}
