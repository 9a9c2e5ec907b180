//! Reading a summary in place.

use paquebot_types::ThreadId;

use crate::date::SentDate;
use crate::message_id::MessageIdHash;
use crate::section::PartEntry;
use crate::summary::table::Entries;
use crate::summary::{TEXTS, Text, VERSION, flag, read_number};
use crate::wire::Form;

/// Bytes that are no summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SummaryError {
    #[error(
        "a summary of version {0}, which this version of Paquebot cannot read; was the store written by a newer one?"
    )]
    Version(u8),
    #[error("a summary that is damaged: {0}")]
    Damaged(&'static str),
}

/// A summary over the bytes that [`crate::summarise`] wrote. Making one checks the bytes and allocates nothing; what it gives are slices of
/// them.
///
/// ```
/// use paquebot_message::{Form, SummaryRef, parse, summarise};
/// let bytes = summarise(&parse(b"Subject: Re: hello\r\n\r\nworld\r\n"));
/// let summary = SummaryRef::new(&bytes)?;
/// assert_eq!(summary.sort_subject(), b"HELLO");
/// assert_eq!(summary.preview(), "world");
/// assert_eq!(summary.envelope(Form::Ascii), br#"(NIL "Re: hello" NIL NIL NIL NIL NIL NIL NIL NIL)"#);
/// # Ok::<(), paquebot_message::SummaryError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SummaryRef<'a> {
    flags: u8,
    size: u64,
    header_length: u64,
    sent_date: Option<SentDate>,
    message_id: Option<MessageIdHash>,
    thread_id: Option<ThreadId>,
    texts: [&'a [u8]; TEXTS],
}

impl<'a> SummaryRef<'a> {
    /// Fails on bytes of a version that is not known, and on ones that no summary has.
    pub fn new(bytes: &'a [u8]) -> Result<Self, SummaryError> {
        let (&version, rest) = bytes.split_first().ok_or(SummaryError::Damaged("it is empty"))?;
        if version != VERSION {
            return Err(SummaryError::Version(version));
        }
        let summary = Self::read(rest).ok_or(SummaryError::Damaged("it is cut or has a wrong length"))?;
        if std::str::from_utf8(summary.text(Text::Preview)).is_err() {
            return Err(SummaryError::Damaged("its preview is not UTF-8"));
        }
        let mut entries = Entries::new(summary.text(Text::Parts));
        let mut previous_depth = None;
        for entry in entries.by_ref() {
            let is_below = previous_depth.map_or(entry.depth == 0, |depth| (1..=depth + 1).contains(&entry.depth));
            if !is_below || entry.body.end > summary.size {
                return Err(SummaryError::Damaged("its table of parts is no tree of the message"));
            }
            previous_depth = Some(entry.depth);
        }
        if !entries.rest.is_empty() || previous_depth.is_none() {
            return Err(SummaryError::Damaged("its table of parts cannot be read"));
        }
        Ok(summary)
    }

    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let (&flags, after_flags) = rest.split_first()?;
        rest = after_flags;
        let has = |bit: u8| flags & bit != 0;
        let size = read_number(&mut rest)?;
        let header_length = read_number(&mut rest)?;
        let sent_date = match has(flag::HAS_DATE) {
            true => Some(SentDate {
                unix_seconds: i64::from_le_bytes(take(&mut rest)?),
                day: i32::from_le_bytes(take(&mut rest)?),
            }),
            false => None,
        };
        let message_id = match has(flag::HAS_MESSAGE_ID) {
            true => Some(MessageIdHash::from_le_bytes(take(&mut rest)?)),
            false => None,
        };
        let thread_id = match has(flag::HAS_THREAD_ID) {
            true => Some(ThreadId(take(&mut rest)?)),
            false => None,
        };
        let mut lengths = [0; TEXTS];
        for length in &mut lengths {
            *length = usize::try_from(read_number(&mut rest)?).ok()?;
        }
        let mut texts: [&[u8]; TEXTS] = [&[]; TEXTS];
        for (text, length) in texts.iter_mut().zip(lengths) {
            (*text, rest) = rest.split_at_checked(length)?;
        }
        rest.is_empty().then_some(Self { flags, size, header_length, sent_date, message_id, thread_id, texts })
    }

    fn text(&self, text: Text) -> &'a [u8] {
        self.texts.get(text as usize).copied().unwrap_or_default()
    }

    /// RFC822.SIZE.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The length of the message's header with its blank line: BODY\[HEADER\] is the message up to there.
    pub fn header_length(&self) -> u64 {
        self.header_length
    }

    /// ENVELOPE as it is sent, literals of very long strings included.
    pub fn envelope(&self, form: Form) -> &'a [u8] {
        match self.text(Text::EnvelopeUtf8) {
            utf8 if form == Form::Utf8 && !utf8.is_empty() => utf8,
            _ => self.text(Text::Envelope),
        }
    }

    /// BODYSTRUCTURE as it is sent.
    pub fn bodystructure(&self, form: Form) -> &'a [u8] {
        self.structure_texts(form).0
    }

    /// BODY as it is sent, in pieces.
    pub fn body(&self, form: Form) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut text, mut cuts) = self.structure_texts(form);
        std::iter::from_fn(move || {
            if text.is_empty() {
                return None;
            }
            let keep = read_number(&mut cuts).and_then(|keep| usize::try_from(keep).ok()).unwrap_or(text.len());
            let cut = read_number(&mut cuts).and_then(|cut| usize::try_from(cut).ok()).unwrap_or(0);
            let (piece, rest) = text.split_at_checked(keep).unwrap_or((text, &[]));
            text = rest.get(cut..).unwrap_or_default();
            Some(piece)
        })
    }

    fn structure_texts(&self, form: Form) -> (&'a [u8], &'a [u8]) {
        match self.text(Text::BodyStructureUtf8) {
            utf8 if form == Form::Utf8 && !utf8.is_empty() => (utf8, self.text(Text::CutsUtf8)),
            _ => (self.text(Text::BodyStructure), self.text(Text::Cuts)),
        }
    }

    /// PREVIEW; empty if the message has no text to show.
    pub fn preview(&self) -> &'a str {
        std::str::from_utf8(self.text(Text::Preview)).unwrap_or_default()
    }

    /// The Date field; where there is none, SORT and THREAD take the internal date.
    pub fn sent_date(&self) -> Option<SentDate> {
        self.sent_date
    }

    /// The base subject. This and the other sort keys are in the normal form of i;unicode-casemap, cut at 512 bytes: they are compared as
    /// bytes.
    pub fn sort_subject(&self) -> &'a [u8] {
        self.text(Text::Subject)
    }

    /// Whether the subject has a mark of reply or forwarding (RFC 5256, 2.1).
    pub fn is_reply(&self) -> bool {
        self.flags & flag::IS_REPLY != 0
    }

    /// The local part of the first From address; empty if there is none, as with the following.
    pub fn sort_from(&self) -> &'a [u8] {
        self.text(Text::From)
    }

    /// The local part of the first To address.
    pub fn sort_to(&self) -> &'a [u8] {
        self.text(Text::To)
    }

    /// The local part of the first Cc address.
    pub fn sort_cc(&self) -> &'a [u8] {
        self.text(Text::Cc)
    }

    /// The display name of the first From address, or else the address (RFC 5957).
    pub fn display_from(&self) -> &'a [u8] {
        self.text(Text::DisplayFrom)
    }

    /// The display name of the first To address, or else the address (RFC 5957).
    pub fn display_to(&self) -> &'a [u8] {
        self.text(Text::DisplayTo)
    }

    pub fn message_id(&self) -> Option<MessageIdHash> {
        self.message_id
    }

    /// The ids that the message refers to, the oldest first.
    pub fn references(&self) -> impl Iterator<Item = MessageIdHash> + use<'a> {
        self.text(Text::References).as_chunks().0.iter().map(|id| MessageIdHash::from_le_bytes(*id))
    }

    /// The conversation that the message names; `None` if it has no ids.
    pub fn thread_id(&self) -> Option<ThreadId> {
        self.thread_id
    }

    /// The parts as the table that [`crate::resolve`] finds sections in.
    pub fn entries(&self) -> impl Iterator<Item = PartEntry> + Clone + use<'a> {
        Entries::new(self.text(Text::Parts))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
