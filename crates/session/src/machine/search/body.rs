//! Looking for texts in a message's parts, piece by piece.

use paquebot_message::casemap::Matcher;
use paquebot_message::search::{Scope, Segment, SegmentReader, segments};
use paquebot_message::{Splitter, Structure};
use paquebot_model::Message;
use paquebot_types::BlobId;

use super::plan::BodyText;
use crate::machine::bodies::{Bodies, CHUNK_BYTES, HELD_BYTES, Unreadable};

/// Octets of a piece times texts looked for: how much is done before others may get their turn.
const PIECE_OCTETS: usize = 256 << 10;

/// The texts looked for in one message.
pub(super) struct Texts<'p> {
    texts: &'p [BodyText],
    matchers: Vec<Matcher<'p>>,
    found: Vec<Option<bool>>,
    has_news: bool,
    octets: u64,
}

impl<'p> Texts<'p> {
    pub fn new(texts: &'p [BodyText]) -> Self {
        let matchers: Vec<Matcher<'p>> = texts.iter().map(|text| Matcher::new(&text.needle)).collect();
        // An empty text is in every message, whatever is in that.
        let found = matchers.iter().map(|matcher| matcher.is_found().then_some(true)).collect();
        Self { texts, matchers, found, has_news: true, octets: 0 }
    }

    /// For each text whether it was found; `None` as long as there is more to look at.
    pub fn found(&self) -> &[Option<bool>] {
        &self.found
    }

    /// Whether some were found since this was last asked.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Octets compared since this was last asked.
    pub fn take_octets(&mut self) -> u64 {
        std::mem::take(&mut self.octets)
    }

    /// There is no more to look at.
    pub fn end(&mut self) {
        self.found.iter_mut().for_each(|found| *found = found.or(Some(false)));
    }

    fn is_open(&self, scope: Scope) -> bool {
        self.texts.iter().zip(&self.found).any(|(text, found)| text.scope == scope && found.is_none())
    }

    fn open_count(&self) -> usize {
        self.found.iter().filter(|found| found.is_none()).count()
    }

    fn push(&mut self, scope: Scope, text: &str) {
        for (place, matcher) in self.matchers.iter_mut().enumerate() {
            let is_open = self.texts.get(place).is_some_and(|text| text.scope == scope);
            if let Some(found @ None) = self.found.get_mut(place).filter(|_| is_open) {
                matcher.push(text);
                self.octets += text.len() as u64;
                if matcher.is_found() {
                    *found = Some(true);
                    self.has_news = true;
                }
            }
        }
    }
}

/// The body being searched. Used again from message to message.
#[derive(Default)]
pub(super) struct Body {
    blob: Option<BlobId>,
    size: u64,
    /// All octets if they are few and have been read, or the last chunk of them.
    octets: Vec<u8>,
    is_whole: bool,
    splitting: Option<Splitter>,
    /// How far the splitter, or the reader of a segment, has come.
    at: u64,
    /// What is still to be looked at, the last first.
    segments: Vec<(Scope, Segment)>,
    reader: Option<SegmentReader>,
}

impl Body {
    /// Begins with a message.
    pub fn open(&mut self, message: &Message) {
        self.blob = Some(message.blob);
        self.size = message.size.into();
        self.is_whole = false;
        self.splitting = Some(Splitter::new());
        self.at = 0;
        self.segments.clear();
        self.reader = None;
    }

    /// Whether the parts are known.
    pub fn is_split(&self) -> bool {
        self.splitting.is_none()
    }

    /// Looks at the next chunk for where parts begin and end; gives how many octets that were.
    pub fn split_on(&mut self, bodies: &mut Bodies) -> Result<u64, Unreadable> {
        let Some(mut splitter) = self.splitting.take() else { return Ok(0) };
        let octets = self.read(bodies, self.at, self.size)?;
        let count = octets.len() as u64;
        splitter.push(octets);
        self.at += count;
        if self.at < self.size {
            self.splitting = Some(splitter);
        } else {
            self.queue(&splitter.finish());
        }
        Ok(count)
    }

    fn queue(&mut self, structure: &Structure) {
        for scope in [Scope::Body, Scope::Text] {
            self.segments.extend(segments(structure, scope).map(|segment| (scope, segment)));
        }
        self.segments.reverse();
    }

    /// Looks for texts in the next piece; `false` if there is none.
    pub fn look_on(&mut self, bodies: &mut Bodies, texts: &mut Texts<'_>) -> Result<bool, Unreadable> {
        while self.segments.last().is_some_and(|(scope, _)| !texts.is_open(*scope)) {
            self.segments.pop();
            self.reader = None;
        }
        let Some((scope, segment)) = self.segments.last().cloned() else { return Ok(false) };
        let mut reader = self.reader.take().unwrap_or_else(|| {
            self.at = segment.range.start;
            SegmentReader::new(&segment)
        });
        let piece = (PIECE_OCTETS / texts.open_count().max(1)).clamp(1 << 10, CHUNK_BYTES) as u64;
        let end = segment.range.end.min(self.at.saturating_add(piece));
        let at = self.at;
        let octets = self.read(bodies, at, end)?;
        let count = octets.len() as u64;
        reader.push(octets, &mut |text| texts.push(scope, text));
        self.at += count;
        if count > 0 && self.at < segment.range.end {
            self.reader = Some(reader);
        } else {
            reader.finish(&mut |text| texts.push(scope, text));
            texts.matchers.iter_mut().for_each(Matcher::end_text);
            self.segments.pop();
        }
        Ok(true)
    }

    /// Octets from `at` on, at least one if there are any before `end`.
    fn read(&mut self, bodies: &mut Bodies, at: u64, end: u64) -> Result<&[u8], Unreadable> {
        let Some(blob) = self.blob.filter(|_| at < end) else { return Ok(&[]) };
        if self.size <= HELD_BYTES {
            if !self.is_whole {
                self.octets.clear();
                bodies.append_whole(blob, &mut self.octets)?;
                self.is_whole = true;
            }
            return self.octets.get(at as usize..end as usize).ok_or(Unreadable::Short);
        }
        self.octets.clear();
        let count = usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        bodies.append(blob, at, count, &mut self.octets)?;
        Ok(&self.octets)
    }
}
