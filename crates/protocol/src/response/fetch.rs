//! FETCH.

use paquebot_types::{EmailId, Flags, InternalDate, Keyword, ModSeq, SeqNum, ThreadId, Uid};

use super::text::{write_astring, write_flags, write_nstring, write_number};
use super::{Mode, ResponseWriter};
use crate::date::write_date_time;
use crate::{Section, SectionText};

/// Writes one FETCH response, its items in the order of the calls. [`FetchWriter::end`] closes it.
///
/// ```
/// use paquebot_protocol::response::{Mode, ResponseWriter};
/// use paquebot_types::{Flags, SeqNum, Uid};
/// let mut out = Vec::new();
/// let mut write = ResponseWriter::new(&mut out, Mode::default());
/// let mut fetch = write.fetch(SeqNum::new(12).unwrap());
/// fetch.uid(Uid::new(80).unwrap());
/// fetch.flags(Flags::SEEN, &[], false);
/// fetch.end();
/// assert_eq!(out, b"* 12 FETCH (UID 80 FLAGS (\\Seen))\r\n");
/// ```
#[derive(Debug)]
#[must_use = "a FETCH response must be ended"]
pub struct FetchWriter<'a> {
    out: &'a mut Vec<u8>,
    mode: Mode,
    empty: bool,
}

/// A FETCH response that is not ended, without its buffer: see [`FetchWriter::pause`].
#[derive(Debug)]
#[must_use = "a FETCH response must be ended"]
pub struct FetchPause {
    empty: bool,
}

/// How a literal is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteralForm {
    /// `{n}`
    Literal,
    /// `~{n}`: there is NUL in it (RFC 3516, 4.4).
    Literal8,
}

impl<'a> ResponseWriter<'a> {
    /// Begins a FETCH response.
    pub fn fetch(&mut self, seq_num: SeqNum) -> FetchWriter<'_> {
        self.out.extend_from_slice(b"* ");
        write_number(self.out, seq_num.get().into());
        self.out.extend_from_slice(b" FETCH (");
        FetchWriter { out: self.out, mode: self.mode, empty: true }
    }

    /// Goes on with a FETCH response after a pause.
    pub fn resume(&mut self, pause: FetchPause) -> FetchWriter<'_> {
        FetchWriter { out: self.out, mode: self.mode, empty: pause.empty }
    }
}

impl FetchWriter<'_> {
    /// Gives the buffer back, to be flushed in the midst of a long response. Nothing else may be written to it before [`ResponseWriter::resume`]
    /// but the octets of a literal announced last.
    pub fn pause(self) -> FetchPause {
        FetchPause { empty: self.empty }
    }

    pub fn end(self) {
        self.out.extend_from_slice(b")\r\n");
    }

    pub fn uid(&mut self, uid: Uid) {
        self.number(b"UID ", uid.get().into());
    }

    /// `\Recent` is for one session; in rev2 it is left out (RFC 9051, E).
    pub fn flags(&mut self, flags: Flags, keywords: &[Keyword], recent: bool) {
        self.name(b"FLAGS (");
        write_flags(self.out, flags, keywords, if recent && !self.mode.rev2 { &["\\Recent"] } else { &[] });
        self.out.push(b')');
    }

    pub fn internal_date(&mut self, date: InternalDate) {
        self.name(b"INTERNALDATE ");
        write_date_time(self.out, date);
    }

    /// NIL if the mailbox keeps no save dates (RFC 8514, 4.2).
    pub fn save_date(&mut self, date: Option<InternalDate>) {
        self.name(b"SAVEDATE ");
        match date {
            Some(date) => write_date_time(self.out, date),
            None => self.out.extend_from_slice(b"NIL"),
        }
    }

    pub fn rfc822_size(&mut self, octets: u64) {
        self.number(b"RFC822.SIZE ", octets);
    }

    pub fn modseq(&mut self, modseq: ModSeq) {
        self.number(b"MODSEQ (", modseq.0);
        self.out.push(b')');
    }

    pub fn email_id(&mut self, id: &EmailId) {
        self.name(b"EMAILID (");
        self.out.extend_from_slice(id.to_string().as_bytes());
        self.out.push(b')');
    }

    /// NIL if the message has none.
    pub fn thread_id(&mut self, id: Option<&ThreadId>) {
        match id {
            Some(id) => {
                self.name(b"THREADID (");
                self.out.extend_from_slice(id.to_string().as_bytes());
                self.out.push(b')');
            }
            None => self.name(b"THREADID NIL"),
        }
    }

    /// NIL if LAZY was asked for and there is none yet, or none can be made (RFC 8970, 3).
    pub fn preview(&mut self, preview: Option<&str>) {
        self.name(b"PREVIEW ");
        write_nstring(self.out, preview.map(str::as_bytes), self.mode.utf8);
    }

    /// ENVELOPE, as written by the message crate.
    pub fn envelope(&mut self, wire: &[u8]) {
        self.name(b"ENVELOPE ");
        self.out.extend_from_slice(wire);
    }

    /// BODYSTRUCTURE, as written by the message crate.
    pub fn body_structure(&mut self, wire: &[u8]) {
        self.name(b"BODYSTRUCTURE ");
        self.out.extend_from_slice(wire);
    }

    /// BODY without a section: the structure without extension data.
    pub fn body(&mut self, wire: &[u8]) {
        self.name(b"BODY ");
        self.out.extend_from_slice(wire);
    }

    /// `BODY[section]<origin>` with these octets.
    pub fn section(&mut self, section: &Section, origin: Option<u64>, bytes: &[u8]) {
        self.section_literal(section, origin, bytes.len() as u64);
        self.octets(bytes);
    }

    /// `BODY[section]<origin>` and the announcement of so many octets, which are to follow by [`Self::octets`] or, after a pause, straight
    /// to the socket. None is the empty string, and nothing follows.
    pub fn section_literal(&mut self, section: &Section, origin: Option<u64>, octets: u64) {
        self.section_name(section, origin);
        self.literal(octets, LiteralForm::Literal);
    }

    /// `BODY[section] NIL`: the message has no such part.
    pub fn section_nil(&mut self, section: &Section, origin: Option<u64>) {
        self.section_name(section, origin);
        self.out.extend_from_slice(b"NIL");
    }

    /// RFC822 and the announcement of so many octets.
    pub fn rfc822_literal(&mut self, octets: u64) {
        self.name(b"RFC822 ");
        self.literal(octets, LiteralForm::Literal);
    }

    /// RFC822.HEADER and the announcement of so many octets.
    pub fn rfc822_header_literal(&mut self, octets: u64) {
        self.name(b"RFC822.HEADER ");
        self.literal(octets, LiteralForm::Literal);
    }

    /// RFC822.TEXT and the announcement of so many octets.
    pub fn rfc822_text_literal(&mut self, octets: u64) {
        self.name(b"RFC822.TEXT ");
        self.literal(octets, LiteralForm::Literal);
    }

    /// `BINARY[part]<origin>` and the announcement of so many decoded octets. [`LiteralForm::Literal8`] if there is NUL among them.
    pub fn binary_literal(&mut self, part: &[u32], origin: Option<u64>, octets: u64, form: LiteralForm) {
        self.binary_name(b"BINARY[", part);
        self.origin(origin);
        self.out.push(b' ');
        self.literal(octets, form);
    }

    /// `BINARY[part] NIL`: the message has no such part.
    pub fn binary_nil(&mut self, part: &[u32], origin: Option<u64>) {
        self.binary_name(b"BINARY[", part);
        self.origin(origin);
        self.out.extend_from_slice(b" NIL");
    }

    /// `BINARY.SIZE[part]`: octets once decoded.
    pub fn binary_size(&mut self, part: &[u32], octets: u64) {
        self.binary_name(b"BINARY.SIZE[", part);
        self.out.push(b' ');
        write_number(self.out, octets);
    }

    /// Octets of the literal announced last.
    pub fn octets(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn name(&mut self, name: &[u8]) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b' ');
        }
        self.out.extend_from_slice(name);
    }

    fn number(&mut self, name: &[u8], number: u64) {
        self.name(name);
        write_number(self.out, number);
    }

    fn literal(&mut self, octets: u64, form: LiteralForm) {
        if octets == 0 {
            return self.out.extend_from_slice(b"\"\"");
        }
        self.out.extend_from_slice(match form {
            LiteralForm::Literal => b"{",
            LiteralForm::Literal8 => b"~{".as_slice(),
        });
        write_number(self.out, octets);
        self.out.extend_from_slice(b"}\r\n");
    }

    fn section_name(&mut self, section: &Section, origin: Option<u64>) {
        self.name(b"BODY[");
        write_section(self.out, section, self.mode.utf8);
        self.out.push(b']');
        self.origin(origin);
        self.out.push(b' ');
    }

    fn binary_name(&mut self, name: &[u8], part: &[u32]) {
        self.name(name);
        write_part(self.out, part);
        self.out.push(b']');
    }

    fn origin(&mut self, origin: Option<u64>) {
        if let Some(origin) = origin {
            self.out.push(b'<');
            write_number(self.out, origin);
            self.out.push(b'>');
        }
    }
}

/// Writes a section as the client will look for it: keywords in upper case, header names as it wrote them.
fn write_section(out: &mut Vec<u8>, section: &Section, utf8: bool) {
    write_part(out, &section.part);
    if !section.part.is_empty() && section.text != SectionText::Whole {
        out.push(b'.');
    }
    let (name, fields): (&[u8], _) = match &section.text {
        SectionText::Whole => return,
        SectionText::Header => return out.extend_from_slice(b"HEADER"),
        SectionText::Text => return out.extend_from_slice(b"TEXT"),
        SectionText::Mime => return out.extend_from_slice(b"MIME"),
        SectionText::HeaderFields(fields) => (b"HEADER.FIELDS (", fields),
        SectionText::HeaderFieldsNot(fields) => (b"HEADER.FIELDS.NOT (", fields),
    };
    out.extend_from_slice(name);
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write_astring(out, field.as_bytes(), utf8);
    }
    out.push(b')');
}

fn write_part(out: &mut Vec<u8>, part: &[u32]) {
    for (index, number) in part.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        write_number(out, (*number).into());
    }
}
