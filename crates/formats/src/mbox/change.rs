//! Changing what a file says of its messages, and which it has.

use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime};

use paquebot_types::{Flags, InternalDate, Keyword, Uid, UidSet};

use super::contents::Entry;
use super::layout::{self, Base, Block, DELIMITER, KEYWORD_BYTES, KEYWORDS, Shape, Status};
use super::open::{Mailbox, Told};
use super::place::{self, Place, Span};
use super::separator;
use crate::clock;
use crate::error::FormatError;
use crate::lock::FileGuard;
use crate::mailbox::Changes;
use crate::rewrite;

/// What is to be different, by the messages' indices.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub states: BTreeMap<usize, Status>,
    pub removed: UidSet,
}

/// What the file's times tell others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Read after it was changed: nothing new.
    None,
    Mail,
}

impl Mailbox {
    pub(super) fn change_flags(&mut self, changes: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError> {
        let (guard, mut done) = self.begin(Told::Now)?;
        self.know(changes.iter().flat_map(|(_, _, keywords)| keywords))?;
        let mut plan = Plan::default();
        for (uid, flags, keywords) in changes {
            let Some(index) = self.contents.index_of(*uid) else { continue };
            let status = Status { flags: *flags, old: true, keywords: self.keyword_bits(keywords) };
            plan.states.insert(index, status);
        }
        plan.states.retain(|index, status| self.contents.entries[*index].status != *status);
        let changed: UidSet = plan.states.keys().map(|index| self.contents.entries[*index].uid).collect();
        self.write_out(&guard, plan)?;
        done.flags = done.flags.union(&changed);
        Ok(done)
    }

    pub(super) fn expunge_messages(&mut self, uids: &UidSet) -> Result<Changes, FormatError> {
        let (guard, mut done) = self.begin(Told::Now)?;
        let removed: UidSet =
            self.contents.entries.iter().map(|entry| entry.uid).filter(|uid| uids.contains(*uid)).collect();
        if removed.is_empty() {
            return Ok(done);
        }
        self.write_out(&guard, Plan { removed: removed.clone(), ..Plan::default() })?;
        self.drop_shown(&removed);
        for set in [&mut done.flags, &mut done.arrived] {
            *set = set.iter().filter(|uid| !removed.contains(*uid)).collect();
        }
        done.expunged = done.expunged.union(&removed);
        Ok(done)
    }

    /// Writes what the file lacks: UIDs, the mailbox's own state, and that messages were told of.
    pub(super) fn settle(&mut self, guard: &FileGuard, told: Told) -> Result<(), FormatError> {
        if !self.writes() {
            return Ok(());
        }
        let mark = told == Told::Now && std::mem::take(&mut self.unmarked);
        let mut plan = Plan::default();
        // New messages are last; all others are looked at only when some were never told of.
        for (index, entry) in self.contents.entries.iter().enumerate().rev() {
            if entry.unsettled || (mark && !entry.status.old) {
                plan.states.insert(index, Status { old: entry.status.old || mark, ..entry.status });
            } else if !mark && self.contents.base.is_some() {
                break;
            }
        }
        self.write_out(guard, plan)
    }

    /// Sees to it that the mailbox has these keywords, in memory: they are written with what they are for.
    pub(super) fn know<'k>(&mut self, keywords: impl Iterator<Item = &'k Keyword>) -> Result<(), FormatError> {
        let mut known = self.contents.numbering.keywords.clone();
        for keyword in keywords {
            if known.contains(keyword) {
                continue;
            }
            if known.len() == KEYWORDS {
                let why = format!("such a mailbox holds {KEYWORDS} keywords, and there is no room for {keyword}");
                return Err(FormatError::CannotHold(why));
            }
            if keyword.as_str().len() > KEYWORD_BYTES {
                let why = format!("such a mailbox holds keywords of {KEYWORD_BYTES} octets, and {keyword} has more");
                return Err(FormatError::CannotHold(why));
            }
            known.push(keyword.clone());
        }
        self.contents.numbering.keywords = known;
        self.tell_state();
        Ok(())
    }

    /// The mailbox knows them all.
    pub(super) fn keyword_bits(&self, keywords: &[Keyword]) -> u32 {
        let known = &self.contents.numbering.keywords;
        let bit = |keyword: &Keyword| known.iter().position(|known| known == keyword).map_or(0, |place| 1 << place);
        keywords.iter().map(bit).fold(0, |bits, bit| bits | bit)
    }

    /// Does to the file what is planned, and whatever the mailbox's own state needs: in place where the new lines fit, and by writing anew all that follows
    /// the first that does not. The guard is one for writing.
    pub(super) fn write_out(&mut self, guard: &FileGuard, mut plan: Plan) -> Result<(), FormatError> {
        let base = self.contents.numbering.base(self.state.uid_validity);
        self.contents.numbering.validity = Some(base.validity);
        let holder = self.contents.entries.iter().position(|entry| !plan.removed.contains(entry.uid));
        let moves = holder != Some(0);
        if self.contents.pseudo.is_none()
            && (moves || self.contents.base.as_ref() != Some(&base))
            && let Some(index) = holder
        {
            plan.states.entry(index).or_insert(self.contents.entries[index].status);
        }
        let is_done = self.contents.base.as_ref() == Some(&base) && plan.removed.is_empty();
        if is_done && plan.states.is_empty() {
            return Ok(());
        }
        let edits = self.edits(&plan, &base, holder);
        if let Err(source) = self.check(guard, &edits) {
            self.version = None;
            return Err(source);
        }
        let result = self.without_readers(|mailbox| mailbox.apply(guard, &plan, edits, &base, holder));
        if result.is_err() {
            // Whatever became of the file: it is read anew, and an interrupted rewriting is finished before.
            self.version = None;
        }
        result
    }

    /// What can be written in place, and from which message on everything is to be written anew.
    fn edits(&self, plan: &Plan, base: &Base, holder: Option<usize>) -> Edits {
        let mut edits = Edits { in_place: Vec::new(), anew: None };
        if let Some(pseudo) = &self.contents.pseudo {
            if self.contents.base.as_ref() != Some(base) {
                match &*pseudo.state {
                    [span] if layout::pseudo_block(base, span.octets as usize).len() == span.octets as usize => {
                        edits.in_place.push((None, layout::pseudo_block(base, span.octets as usize)));
                    }
                    _ => edits.anew = Some(From::Begin),
                }
            }
        } else if holder.is_none() {
            edits.anew = Some(From::Begin);
        }
        let first_removed = match plan.removed.first() {
            Some(uid) => self.contents.entries.binary_search_by_key(&uid, |entry| entry.uid).ok(),
            None => None,
        };
        let mut anew = first_removed;
        for (index, status) in &plan.states {
            if edits.anew.is_some() || anew.is_some_and(|anew| anew <= *index) {
                break;
            }
            let entry = &self.contents.entries[*index];
            let block = self.block(*index, *status, base, holder);
            let fits = match &*entry.place.state {
                [span] if !entry.is_incomplete() => block.fit(span.octets as usize),
                _ => None,
            };
            match fits {
                Some(lines) => edits.in_place.push((Some(*index), lines)),
                None => anew = Some(*index),
            }
        }
        edits.anew = edits.anew.or(anew.map(From::Message));
        edits
    }

    fn block<'b>(&'b self, index: usize, status: Status, base: &'b Base, holder: Option<usize>) -> Block<'b> {
        let has_base = self.contents.pseudo.is_none() && holder == Some(index);
        Block {
            base: has_base.then_some(base),
            status,
            uid: self.contents.entries[index].uid.get(),
            keywords: &base.keywords,
        }
    }

    /// Nothing is written over what is not what we think it is.
    fn check(&self, guard: &FileGuard, edits: &Edits) -> Result<(), FormatError> {
        for (index, _) in &edits.in_place {
            let place = self.place(*index);
            if !place.is_in(&guard.file).map_err(|source| self.failed("read", source))? {
                let by = "another program has just changed it without its locks".to_owned();
                return Err(FormatError::InUse { path: self.path.clone(), by });
            }
        }
        Ok(())
    }

    /// Of a message, or of the pseudo-message.
    fn place(&self, index: Option<usize>) -> &Place {
        match (index, &self.contents.pseudo) {
            (None, Some(pseudo)) => pseudo,
            (index, _) => &self.contents.entries[index.unwrap_or(0)].place,
        }
    }

    fn apply(
        &mut self,
        guard: &FileGuard,
        plan: &Plan,
        edits: Edits,
        base: &Base,
        holder: Option<usize>,
    ) -> Result<(), FormatError> {
        for (index, lines) in &edits.in_place {
            let place = self.place(*index);
            let Some(span) = place.state.first() else { continue };
            rewrite::patch(&guard.file, &self.path, place.header + u64::from(span.from), lines.as_bytes())?;
            let hash =
                place::hash(&guard.file, place.start, place.text).map_err(|source| self.failed("read", source))?;
            match (index, &mut self.contents.pseudo) {
                (Some(index), _) => {
                    self.contents.entries[*index].place.hash = hash;
                    if let Some(status) = plan.states.get(index) {
                        self.set_status(*index, *status);
                    }
                }
                (None, Some(pseudo)) => pseudo.hash = hash,
                (None, None) => {}
            }
        }
        match edits.anew {
            None => guard.file.sync_data().map_err(|source| self.failed("flush", source))?,
            Some(from) => self.write_anew(guard, plan, from, base, holder)?,
        }
        self.contents.base = Some(base.clone());
        self.set_times(&guard.file, News::None)?;
        self.note(&guard.file)
    }

    fn set_status(&mut self, index: usize, status: Status) {
        let (entry, message) = (&mut self.contents.entries[index], &mut self.contents.messages[index]);
        (entry.status, entry.unsettled, entry.ended) = (status, false, true);
        (message.flags, message.keywords, message.size) =
            (status.flags, status.keywords.into(), Some(entry.place.size));
    }

    /// Writes all from a message on, in place, by way of the journal.
    fn write_anew(
        &mut self,
        guard: &FileGuard,
        plan: &Plan,
        from: From,
        base: &Base,
        holder: Option<usize>,
    ) -> Result<(), FormatError> {
        let (contents, shape) = (&self.contents, self.shape);
        let (first, at) = match from {
            From::Begin => (0, 0),
            From::Message(index) => (index, contents.end_before(index)),
        };
        let mut pseudo = contents.pseudo.clone();
        let (mut places, mut size) = (Vec::new(), at);
        let written = rewrite::rewrite(&guard.file, &self.path, at, |out| {
            let mut out = Out { file: &guard.file, out, at, hasher: blake3::Hasher::new() };
            if from == From::Begin {
                pseudo = match &pseudo {
                    Some(old) => {
                        let room = old.state.iter().map(|span| span.octets as usize).sum::<usize>() + layout::ROOM;
                        Some(out.message(shape, old, None, true, &layout::pseudo_block(base, room))?)
                    }
                    None if holder.is_none() => Some(out.new_pseudo(shape, base)?),
                    None => None,
                };
            }
            for (index, entry) in contents.entries.iter().enumerate().skip(first) {
                if plan.removed.contains(entry.uid) {
                    continue;
                }
                let place = match plan.states.get(&index) {
                    Some(status) => {
                        let block = self.block(index, *status, base, holder).write();
                        let date = entry.undated.then(|| contents.messages[index].internal_date);
                        out.message(shape, &entry.place, date, entry.ended, &block)?
                    }
                    None => out.same(&entry.place)?,
                };
                places.push(place);
            }
            size = out.at;
            Ok(())
        });
        if let Err(error) = written {
            // What can be told at once is told: whether the old file stands, or the new one.
            rewrite::recover(&guard.file, &self.path)?;
            return Err(error);
        }
        let statuses = plan.states.range(first..).map(|(index, status)| (self.contents.entries[*index].uid, *status));
        let statuses: Vec<(Uid, Status)> = statuses.collect();
        let removed = &plan.removed;
        self.contents.entries.retain(|entry| !removed.contains(entry.uid));
        self.contents.messages.retain(|message| !removed.contains(message.uid));
        for (entry, place) in self.contents.entries.iter_mut().skip(first).zip(places) {
            entry.undated &= place.header - place.start == DELIMITER.len() as u64;
            entry.place = place;
        }
        self.contents.pseudo = pseudo;
        self.contents.end = size;
        for (uid, status) in statuses {
            if let Some(index) = self.contents.index_of(uid) {
                self.set_status(index, status);
            }
        }
        Ok(())
    }

    pub(super) fn set_times(&self, file: &File, news: News) -> Result<(), FormatError> {
        let (now, before) = (SystemTime::now(), SystemTime::now() - Duration::from_secs(1));
        let times = match news {
            News::None => FileTimes::new().set_accessed(now).set_modified(before),
            News::Mail => FileTimes::new().set_accessed(before).set_modified(now),
        };
        match file.set_times(times) {
            // Somebody else's file that we may write: its times are those of the write.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result.map_err(|source| self.failed("set the times of", source)),
        }
    }
}

/// From where on a file is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// With the pseudo-message, if there is one or nothing else.
    Begin,
    Message(usize),
}

struct Edits {
    /// State lines as long as those that stand there, of a message or of the pseudo-message.
    in_place: Vec<(Option<usize>, String)>,
    anew: Option<From>,
}

impl Entry {
    /// Whether something is missing that only writing it anew brings.
    fn is_incomplete(&self) -> bool {
        self.place.blank == 0 || !self.ended
    }
}

impl super::contents::Contents {
    /// Where what is before a message ends: blank lines after that belong to nobody.
    fn end_before(&self, index: usize) -> u64 {
        let before = index.checked_sub(1).and_then(|before| self.entries.get(before)).map(|entry| &entry.place);
        before.or(self.pseudo.as_ref()).map_or(0, |place| place.end)
    }
}

/// The new end of a file while it is made.
struct Out<'o> {
    file: &'o File,
    out: &'o mut dyn Write,
    /// The place in the file that it will have.
    at: u64,
    hasher: blake3::Hasher,
}

impl Out<'_> {
    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.at += octets.len() as u64;
        self.hasher.update(octets);
        self.out.write_all(octets)
    }

    /// Copies from the old file; gives the last octet.
    fn copy(&mut self, from: u64, to: u64) -> io::Result<Option<u8>> {
        let (mut last, file) = (None, self.file);
        place::copy(file, from, to, &mut |octets| {
            last = octets.last().copied();
            self.put(octets)
        })?;
        Ok(last)
    }

    /// A message as it is.
    fn same(&mut self, place: &Place) -> io::Result<Place> {
        self.must_be_there(place)?;
        let moved = place.moved(self.at);
        self.copy(place.start, place.end)?;
        Ok(moved)
    }

    /// A message with other state lines, put after all others; with a date, if it has none.
    fn message(
        &mut self,
        shape: Shape,
        old: &Place,
        date: Option<InternalDate>,
        ended: bool,
        state: &str,
    ) -> io::Result<Place> {
        self.must_be_there(old)?;
        self.hasher.reset();
        let start = self.at;
        if shape == Shape::Mmdf {
            let mut begin = [0; DELIMITER.len()];
            self.file.read_exact_at(&mut begin, old.start)?;
            if begin != *DELIMITER {
                self.put(DELIMITER)?;
            }
        }
        self.copy(old.start, old.header)?;
        if let Some(date) = date {
            self.put(separator::write(&sender(), date).as_bytes())?;
        }
        let header = self.at;
        let (mut size, mut last) = (old.size, None);
        let mut from = old.header;
        let ends = old.state.iter().map(|span| (old.header + u64::from(span.from), old.header + u64::from(span.end())));
        for (to, next) in ends.chain([(old.text - u64::from(old.blank), old.text)]) {
            last = self.copy(from, to)?.or(last);
            from = next;
        }
        if last.is_some_and(|last| last != b'\n') {
            self.put(b"\n")?;
            size += 2;
        }
        let too_long = |_| io::Error::other("a header has more than 4 GB");
        let span = Span {
            from: u32::try_from(self.at - header).map_err(too_long)?,
            octets: u32::try_from(state.len()).map_err(too_long)?,
        };
        self.put(state.as_bytes())?;
        self.put(b"\n")?;
        if old.blank == 0 {
            size += 2;
        }
        let (text, hash) = (self.at, place::short(&self.hasher));
        self.copy(old.text, old.text_end)?;
        if !ended && old.text_end > old.text {
            self.put(b"\n")?;
            size += 2;
        }
        let text_end = self.at;
        self.copy(old.text_end, old.end)?;
        let state = Box::new([span]);
        Ok(Place { start, header, text, text_end, end: self.at, state, blank: 1, size, hash, ..*old })
    }

    fn new_pseudo(&mut self, shape: Shape, base: &Base) -> io::Result<Place> {
        let start = self.at;
        self.hasher.reset();
        let (begin, text) = new_pseudo(shape, base);
        self.put(begin.as_bytes())?;
        let state = layout::pseudo_block(base, 0);
        let header = start;
        let span = Span { from: begin.len() as u32, octets: state.len() as u32 };
        self.put(state.as_bytes())?;
        self.put(b"\n")?;
        let (text_start, hash) = (self.at, place::short(&self.hasher));
        self.put(text.as_bytes())?;
        let state = Box::new([span]);
        // What it would show is of no interest to anybody.
        let (size, text_end) = (0, self.at);
        Ok(Place {
            start,
            header,
            text: text_start,
            text_end,
            end: text_end,
            state,
            blank: 1,
            size,
            hash,
            shown_hash: 0,
        })
    }

    fn must_be_there(&self, place: &Place) -> io::Result<()> {
        match place.is_in(self.file)? {
            true => Ok(()),
            false => Err(io::Error::other("another program has just changed it without its locks")),
        }
    }
}

/// A pseudo-message up to its state lines, and from the blank line after them on.
fn new_pseudo(shape: Shape, _base: &Base) -> (String, String) {
    let now = clock::seconds();
    let (header, text) = layout::pseudo(InternalDate::utc(i64::try_from(now).unwrap_or(0)), &host());
    match shape {
        Shape::Mbox => (header, format!("{text}\n")),
        Shape::Mmdf => (format!("\x01\x01\x01\x01\n{header}"), format!("{text}\x01\x01\x01\x01\n")),
    }
}

/// The file of a mailbox without messages.
pub fn empty(shape: Shape, base: &Base) -> String {
    let (begin, text) = new_pseudo(shape, base);
    format!("{begin}{}\n{text}", layout::pseudo_block(base, 0))
}

/// Whose messages are that come without a sender.
pub fn sender() -> String {
    format!("paquebot@{}", host())
}

fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    if name.is_empty() { "localhost".into() } else { name }
}
