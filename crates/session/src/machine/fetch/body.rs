//! The items of a FETCH response that need the message's body: which octets they mean, and how those go out.
//!
//! Whatever its size, a body passes through in chunks. Its first octets are read before they are announced, so that a body that cannot be
//! read fails by itself. One that fails later is fetched from another machine, if there is one, and sent on from the octet where it failed,
//! provided that what has gone out is the same there; else the connection ends, since the announced octets cannot be taken back. So it is
//! with a large body that fails its checksum: what the client has of it is never taken for the message.

use std::io;
use std::ops::Range;

use paquebot_message::transfer::Decoder;
use paquebot_message::{Encoding, FieldSelector, SectionText, Selection, resolve, resolve_binary};
use paquebot_model::Message;
use paquebot_protocol::command::FetchItem;
use paquebot_protocol::response::{FetchWriter, LiteralForm};
use paquebot_protocol::{Partial, Section, SectionText as Asked};
use paquebot_types::BlobId;

use super::job::Response;
use crate::machine::bodies::{Bodies, CHUNK_BYTES, HELD_BYTES, Indexed, Unreadable};
use crate::session::Session;
use crate::state::End;

/// Why an item was not sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// The session is over.
    End(End),
    Unreadable(Unreadable),
    UnknownEncoding,
}

impl From<End> for SendError {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<Unreadable> for SendError {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error)
    }
}

/// Buffers that are used again from message to message.
#[derive(Default)]
pub(super) struct Scratch {
    stored: Vec<u8>,
    made: Vec<u8>,
    /// What went by before, read again.
    again: Vec<u8>,
}

/// The octets that an item means.
enum Content<'a> {
    /// There is no such part.
    Nil,
    /// Octets of the body as stored.
    Stored(Range<u64>),
    /// What a filter makes of octets of the body.
    Made(Range<u64>, Filter<'a>),
}

/// What makes a section's octets of stored ones.
enum Filter<'a> {
    Fields(Selection, Vec<&'a [u8]>),
    Decode(Encoding),
}

/// A filter at work.
enum Running<'a> {
    Fields(FieldSelector<'a>),
    Decode(Decoder),
}

impl Filter<'_> {
    fn start(&self) -> Running<'_> {
        match self {
            Self::Fields(selection, names) => Running::Fields(FieldSelector::new(*selection, names)),
            Self::Decode(encoding) => Running::Decode(Decoder::new(*encoding)),
        }
    }
}

impl Running<'_> {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Fields(selector) => selector.push(octets, out),
            Self::Decode(decoder) => decoder.push(octets, out),
        }
    }

    fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::Fields(selector) => selector.finish(out),
            Self::Decode(decoder) => decoder.finish(out),
        }
    }
}

/// Sends one item.
pub(super) async fn send(
    session: &mut Session,
    bodies: &mut Bodies,
    scratch: &mut Scratch,
    response: &mut Response,
    message: &Message,
    indexed: Indexed<'_>,
    item: &FetchItem,
) -> Result<(), SendError> {
    let mut sender = Sender { session, bodies, scratch, response, blob: message.blob, item };
    match sender.send(indexed).await {
        // Nothing of the item has been announced.
        Err(SendError::Unreadable(error)) => {
            sender.bodies.mend(message.blob, error).await?;
            sender.send(indexed).await
        }
        sent => sent,
    }
}

fn content<'i>(indexed: Indexed<'_>, item: &'i FetchItem) -> Result<Content<'i>, SendError> {
    let stored =
        |part: &[u32], text| resolve(indexed.summary.entries(), part, text).map_or(Content::Nil, Content::Stored);
    Ok(match item {
        FetchItem::Rfc822 => stored(&[], SectionText::Whole),
        FetchItem::Rfc822Header => stored(&[], SectionText::Header),
        FetchItem::Rfc822Text => stored(&[], SectionText::Text),
        FetchItem::Section { section: Section { part, text }, .. } => match text {
            Asked::Whole => stored(part, SectionText::Whole),
            Asked::Header => stored(part, SectionText::Header),
            Asked::Text => stored(part, SectionText::Text),
            Asked::Mime => stored(part, SectionText::Mime),
            Asked::HeaderFields(names) => fields(indexed, part, Selection::Fields, names),
            Asked::HeaderFieldsNot(names) => fields(indexed, part, Selection::FieldsNot, names),
        },
        FetchItem::Binary { part, .. } => match resolve_binary(indexed.summary.entries(), part) {
            None => Content::Nil,
            Some((_, Encoding::Unknown)) => return Err(SendError::UnknownEncoding),
            Some((range, encoding)) => Content::Made(range, Filter::Decode(encoding)),
        },
        _ => Content::Nil,
    })
}

fn fields<'i>(indexed: Indexed<'_>, part: &[u32], selection: Selection, names: &'i [String]) -> Content<'i> {
    match resolve(indexed.summary.entries(), part, SectionText::Header) {
        Some(header) => {
            let names = names.iter().map(String::as_bytes).collect();
            Content::Made(header, Filter::Fields(selection, names))
        }
        None => Content::Nil,
    }
}

fn partial(item: &FetchItem) -> Option<Partial> {
    match item {
        FetchItem::Section { partial, .. } | FetchItem::Binary { partial, .. } => *partial,
        _ => None,
    }
}

fn write_nil(write: &mut FetchWriter<'_>, item: &FetchItem) {
    let origin = partial(item).map(|partial| partial.origin);
    match item {
        FetchItem::Section { section, .. } => write.section_nil(section, origin),
        FetchItem::Binary { part, .. } => write.binary_nil(part, origin),
        _ => {}
    }
}

fn announce(write: &mut FetchWriter<'_>, item: &FetchItem, octets: u64, form: LiteralForm) {
    let origin = partial(item).map(|partial| partial.origin);
    match item {
        FetchItem::Rfc822 => write.rfc822_literal(octets),
        FetchItem::Rfc822Header => write.rfc822_header_literal(octets),
        FetchItem::Rfc822Text => write.rfc822_text_literal(octets),
        FetchItem::Section { section, .. } => write.section_literal(section, origin, octets),
        FetchItem::Binary { part, .. } => write.binary_literal(part, origin, octets, form),
        _ => {}
    }
}

/// The literal in which these octets, or such as these, go out.
fn form(item: &FetchItem, has_nul: bool) -> LiteralForm {
    match item {
        FetchItem::Binary { .. } if has_nul => LiteralForm::Literal8,
        _ => LiteralForm::Literal,
    }
}

/// How much a filter makes.
struct Measure {
    octets: u64,
    has_nul: bool,
}

/// The stored octets of an item as they go by.
struct Passing {
    from: u64,
    at: u64,
    /// The checksum of those before `at`.
    crc: u32,
    /// What it must be in the end, where the whole body goes by.
    wanted: Option<u32>,
    /// The rest is another machine's copy.
    is_mended: bool,
}

impl Passing {
    fn new(from: u64, wanted: Option<u32>) -> Self {
        Self { from, at: from, crc: 0, wanted, is_mended: false }
    }

    /// Takes the next octets, unless they are the last and the whole fails its checksum.
    fn take(&mut self, octets: &[u8], end: u64) -> Result<(), Unreadable> {
        let crc = crc32c::crc32c_append(self.crc, octets);
        let at = self.at + octets.len() as u64;
        if at == end && self.wanted.is_some_and(|wanted| wanted != crc) {
            return Err(Unreadable::Damaged);
        }
        (self.at, self.crc) = (at, crc);
        Ok(())
    }
}

/// One item on its way.
struct Sender<'s> {
    session: &'s mut Session,
    bodies: &'s mut Bodies,
    scratch: &'s mut Scratch,
    response: &'s mut Response,
    blob: BlobId,
    item: &'s FetchItem,
}

impl Sender<'_> {
    async fn send(&mut self, indexed: Indexed<'_>) -> Result<(), SendError> {
        let item = self.item;
        if let FetchItem::BinarySize { part } = item {
            let octets = match resolve_binary(indexed.summary.entries(), part) {
                // The grammar knows no NIL here.
                None => 0,
                Some((_, Encoding::Unknown)) => return Err(SendError::UnknownEncoding),
                Some((range, encoding @ (Encoding::Base64 | Encoding::QuotedPrintable))) => {
                    self.measure(range, &Filter::Decode(encoding), &(0..0)).await?.octets
                }
                Some((range, _)) => range.end - range.start,
            };
            self.write(|write| write.binary_size(part, octets));
            return Ok(());
        }
        match content(indexed, item)? {
            Content::Nil => {
                self.write(|write| write_nil(write, item));
                Ok(())
            }
            Content::Stored(range) => self.send_stored(range).await,
            Content::Made(range, filter) if range.end - range.start <= HELD_BYTES => self.send_held(range, &filter),
            Content::Made(range, filter) => self.send_made(range, &filter).await,
        }
    }

    fn write(&mut self, item: impl FnOnce(&mut FetchWriter<'_>)) {
        self.response.write(self.session, item);
    }

    /// The octets that the item wants of so many.
    fn window(&self, octets: u64) -> Range<u64> {
        partial(self.item).map_or(0..octets, |partial| partial.range(octets))
    }

    /// Sends octets as they are stored. The whole body is proved by its checksum before its last octets go out.
    async fn send_stored(&mut self, range: Range<u64>) -> Result<(), SendError> {
        let window = self.window(range.end - range.start);
        let range = range.start + window.start..range.start + window.end;
        let mut wanted = None;
        if range.start < range.end {
            let (len, crc) = self.bodies.checksum(self.blob)?;
            wanted = crc.filter(|_| range == (0..len));
        }
        let mark = self.session.conn.output().len();
        let item = self.item;
        self.write(|write| announce(write, item, range.end - range.start, LiteralForm::Literal));
        let mut passing = Passing::new(range.start, wanted);
        while passing.at < range.end {
            let output = self.session.conn.output();
            let start = output.len();
            let read = self.bodies.append(self.blob, passing.at, chunk(passing.at, range.end), output);
            let taken = read.and_then(|()| passing.take(output.get(start..).unwrap_or_default(), range.end));
            match taken {
                Ok(()) => {}
                Err(error) if passing.at == range.start => {
                    self.response.undo(self.session, mark);
                    return Err(error.into());
                }
                Err(error) => {
                    self.session.conn.output().truncate(start);
                    self.go_on_elsewhere(error, &mut passing).await?;
                }
            }
            if passing.at < range.end {
                self.bodies.release();
                self.session.end_slice().await?;
            }
        }
        Ok(())
    }

    /// After octets that could not be read, in the middle of those that were announced: has the body fetched, so that they can be read. The
    /// session ends if what went by before was other octets than the new copy has.
    async fn go_on_elsewhere(&mut self, error: Unreadable, passing: &mut Passing) -> Result<(), SendError> {
        if std::mem::replace(&mut passing.is_mended, true) {
            return Err(cut(&error));
        }
        self.bodies.mend(self.blob, error).await.map_err(|error| cut(&error))?;
        let mut again = Passing::new(passing.from, None);
        let stored = &mut self.scratch.again;
        while again.at < passing.at {
            stored.clear();
            let read = self.bodies.append(self.blob, again.at, chunk(again.at, passing.at), stored);
            read.and_then(|()| again.take(stored, passing.at)).map_err(|error| cut(&error))?;
        }
        if again.crc != passing.crc {
            return Err(cut(&Unreadable::Damaged));
        }
        if passing.wanted.is_some() {
            passing.wanted = self.bodies.checksum(self.blob).map_err(|error| cut(&error))?.1;
        }
        Ok(())
    }

    /// Sends what a filter makes of octets that are few enough to be held.
    fn send_held(&mut self, range: Range<u64>, filter: &Filter<'_>) -> Result<(), SendError> {
        let Scratch { stored, made, .. } = &mut *self.scratch;
        stored.clear();
        made.clear();
        self.bodies.append(self.blob, range.start, (range.end - range.start) as usize, stored)?;
        let mut running = filter.start();
        running.push(stored, made);
        running.finish(made);
        let window = partial(self.item).map_or(0..made.len() as u64, |partial| partial.range(made.len() as u64));
        let octets = part_of(made, 0, &window);
        let form = form(self.item, octets.contains(&0));
        let item = self.item;
        self.response.write(self.session, |write| {
            announce(write, item, octets.len() as u64, form);
            write.octets(octets);
        });
        Ok(())
    }

    /// Sends what a filter makes of many octets: reads them once to know how many to announce, and again to send them.
    async fn send_made(&mut self, range: Range<u64>, filter: &Filter<'_>) -> Result<(), SendError> {
        let wanted = self.window(u64::MAX);
        let measure = self.measure(range.clone(), filter, &wanted).await?;
        let window = self.window(measure.octets);
        let item = self.item;
        let form = form(item, measure.has_nul);
        self.write(|write| announce(write, item, window.end - window.start, form));
        let mut running = filter.start();
        let (mut passing, mut made_before) = (Passing::new(range.start, None), 0);
        while passing.at < range.end && made_before < window.end {
            let Scratch { stored, made, .. } = &mut *self.scratch;
            stored.clear();
            made.clear();
            let read = self.bodies.append(self.blob, passing.at, chunk(passing.at, range.end), stored);
            if let Err(error) = read.and_then(|()| passing.take(stored, range.end)) {
                self.go_on_elsewhere(error, &mut passing).await?;
                continue;
            }
            running.push(stored, made);
            self.session.conn.output().extend_from_slice(part_of(made, made_before, &window));
            made_before += made.len() as u64;
            self.bodies.release();
            self.session.end_slice().await?;
        }
        let made = &mut self.scratch.made;
        made.clear();
        running.finish(made);
        self.session.conn.output().extend_from_slice(part_of(made, made_before, &window));
        Ok(())
    }

    /// How many octets a filter makes of a range, and whether there is NUL in the window of them.
    async fn measure(
        &mut self,
        range: Range<u64>,
        filter: &Filter<'_>,
        window: &Range<u64>,
    ) -> Result<Measure, SendError> {
        let mut running = filter.start();
        let mut measure = Measure { octets: 0, has_nul: false };
        let mut at = range.start;
        while at < range.end {
            let count = chunk(at, range.end);
            let Scratch { stored, made, .. } = &mut *self.scratch;
            stored.clear();
            made.clear();
            self.bodies.append(self.blob, at, count, stored)?;
            running.push(stored, made);
            measure.add(made, window);
            at += count as u64;
            self.bodies.release();
            self.session.end_slice().await?;
        }
        let made = &mut self.scratch.made;
        made.clear();
        running.finish(made);
        measure.add(made, window);
        Ok(measure)
    }
}

impl Measure {
    fn add(&mut self, made: &[u8], window: &Range<u64>) {
        self.has_nul |= part_of(made, self.octets, window).contains(&0);
        self.octets += made.len() as u64;
    }
}

/// How many octets to read next.
fn chunk(at: u64, end: u64) -> usize {
    usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES))
}

/// What of `octets`, which come after `before` others, lies in the window.
fn part_of<'o>(octets: &'o [u8], before: u64, window: &Range<u64>) -> &'o [u8] {
    let place = |at: u64| usize::try_from(at.saturating_sub(before)).map_or(octets.len(), |at| at.min(octets.len()));
    octets.get(place(window.start)..place(window.end)).unwrap_or_default()
}

/// The octets announced cannot be sent, so that there is no going on.
fn cut(error: &Unreadable) -> SendError {
    tracing::error!(error = error as &dyn std::error::Error, "a message cannot be read to its end");
    SendError::End(End::Broken(io::Error::other("a message cannot be read to its end")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_out_of_pieces() {
        let pieces: [&[u8]; 3] = [b"abc", b"", b"defg"];
        let cut = |window: Range<u64>| {
            let mut before = 0;
            let mut out = Vec::new();
            for piece in pieces {
                out.extend_from_slice(part_of(piece, before, &window));
                before += piece.len() as u64;
            }
            String::from_utf8(out).unwrap()
        };
        assert_eq!(cut(0..7), "abcdefg");
        assert_eq!(cut(2..4), "cd");
        assert_eq!(cut(3..3), "");
        assert_eq!(cut(5..u64::MAX), "fg");
        assert_eq!(cut(9..12), "");
    }
}
