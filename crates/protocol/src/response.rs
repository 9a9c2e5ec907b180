//! Responses: typed values to bytes.

mod code;
mod data;
mod fetch;
mod list;
mod search;
mod status;
mod text;

pub use code::Code;
pub use fetch::{FetchPause, FetchWriter, LiteralForm};
pub use list::{ListAttribute, ListEntry, ListName, Namespace};
pub use search::ESearch;
pub use status::StatusValue;
pub use text::{write_astring, write_nstring, write_number, write_string};

use crate::Tag;
use text::write_text;

/// What a session has enabled, as far as it changes what responses look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mode {
    /// UTF8=ACCEPT or IMAP4rev2: UTF-8 in quoted strings, and mailbox names as they are.
    pub utf8: bool,
    /// IMAP4rev2.
    pub rev2: bool,
}

/// Writes responses to the end of a buffer. It holds nothing itself: make one where it is needed.
///
/// Texts are cut down to what a response line can carry: control characters become spaces, and so do octets above 127 unless UTF-8 is
/// enabled; an empty text becomes `Done`, since clients fail on a status response without one.
///
/// ```
/// use paquebot_protocol::response::{Code, Mode, ResponseWriter};
/// use paquebot_protocol::Tag;
/// let mut out = Vec::new();
/// let mut write = ResponseWriter::new(&mut out, Mode::default());
/// write.exists(172);
/// write.ok(&Tag::new(b"a1").unwrap(), Some(Code::ReadWrite), "SELECT completed");
/// assert_eq!(out, b"* 172 EXISTS\r\na1 OK [READ-WRITE] SELECT completed\r\n");
/// ```
#[derive(Debug)]
pub struct ResponseWriter<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) mode: Mode,
}

/// The five kinds of status response (RFC 9051, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Ok,
    No,
    Bad,
    /// Only untagged.
    PreAuth,
    /// Only untagged.
    Bye,
}

impl<'a> ResponseWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>, mode: Mode) -> Self {
        Self { out, mode }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A status response; untagged without a tag.
    pub fn condition(&mut self, tag: Option<&Tag>, condition: Condition, code: Option<Code<'_>>, text: &str) {
        self.out.extend_from_slice(tag.map_or("*", Tag::as_str).as_bytes());
        self.out.extend_from_slice(match condition {
            Condition::Ok => b" OK ",
            Condition::No => b" NO ",
            Condition::Bad => b" BAD ",
            Condition::PreAuth => b" PREAUTH ",
            Condition::Bye => b" BYE ",
        });
        if let Some(code) = code {
            code.write(self.out, self.mode);
            self.out.push(b' ');
        }
        self.text_line(text);
    }

    /// Tagged OK.
    pub fn ok(&mut self, tag: &Tag, code: Option<Code<'_>>, text: &str) {
        self.condition(Some(tag), Condition::Ok, code, text);
    }

    /// Tagged NO.
    pub fn no(&mut self, tag: &Tag, code: Option<Code<'_>>, text: &str) {
        self.condition(Some(tag), Condition::No, code, text);
    }

    /// BAD, tagged where the command had a tag.
    pub fn bad(&mut self, tag: Option<&Tag>, code: Option<Code<'_>>, text: &str) {
        self.condition(tag, Condition::Bad, code, text);
    }

    /// Untagged OK: the greeting, a warning, `OK [CLOSED]`, `OK Still here`.
    pub fn untagged_ok(&mut self, code: Option<Code<'_>>, text: &str) {
        self.condition(None, Condition::Ok, code, text);
    }

    /// Untagged NO: a warning.
    pub fn untagged_no(&mut self, code: Option<Code<'_>>, text: &str) {
        self.condition(None, Condition::No, code, text);
    }

    /// The greeting of a connection that needs no login.
    pub fn preauth(&mut self, code: Option<Code<'_>>, text: &str) {
        self.condition(None, Condition::PreAuth, code, text);
    }

    pub fn bye(&mut self, code: Option<Code<'_>>, text: &str) {
        self.condition(None, Condition::Bye, code, text);
    }

    /// `+ text`: go on with a literal, or IDLE has begun.
    pub fn continuation(&mut self, text: &str) {
        self.out.extend_from_slice(b"+ ");
        self.text_line(text);
    }

    /// `+ ` and a challenge in base64; the space stays for an empty one, as clients insist on it.
    pub fn challenge(&mut self, challenge: &[u8]) {
        use base64::Engine as _;
        self.out.extend_from_slice(b"+ ");
        self.out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(challenge).as_bytes());
        self.end_line();
    }

    fn text_line(&mut self, text: &str) {
        write_text(self.out, if text.is_empty() { "Done" } else { text }, self.mode.utf8);
        self.end_line();
    }

    pub(crate) fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}
