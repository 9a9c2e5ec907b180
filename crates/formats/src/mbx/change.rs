//! Changing an mbx file.

use std::fs::{FileTimes, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime};

use paquebot_types::{Flags, Keyword, Uid, UidSet};

use super::layout::{EXPUNGED, HEADER, Header, KEYWORD_BYTES, KEYWORDS, OLD, Record, Status, UPDATER};
use super::open::Mbx;
use crate::clock;
use crate::date;
use crate::error::{FormatError, failed};
use crate::lock::{Flock, Kind, LockFile};
use crate::mailbox::{Arriving, Changes, Expunged};
use crate::rewrite;

/// How far the time of the last change may be ahead of the clock.
const AHEAD: Duration = Duration::from_secs(10);
/// Octets that are copied at once.
const COPY: usize = 256 << 10;
/// A message of this length comes into the file by one call, a longer one by several.
const AT_ONCE: usize = 64 << 20;

impl Mbx {
    pub(super) fn change_flags(&mut self, changes: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError> {
        self.must_write()?;
        let guard = LockFile::take(&self.file)?;
        let mut done = self.look_locked(Expunged::Stay)?;
        let mut changed = done.flags.clone();
        let mut patched = false;
        self.know(changes.iter().flat_map(|(_, _, keywords)| keywords))?;
        for (uid, flags, keywords) in changes {
            let (Some(index), Some(bits)) = (self.index_of(*uid), self.keyword_bits(keywords)) else { continue };
            let before = self.places[index].status;
            let mut after = before.with(*flags, bits);
            after.flags |= OLD;
            if after == before {
                continue;
            }
            self.patch(self.places[index].text, after)?;
            self.places[index].status = after;
            let message = &mut self.messages[index];
            (message.flags, message.keywords) = (*flags, bits.into());
            changed.insert(*uid);
            patched = true;
        }
        if patched {
            self.say_changed()?;
        }
        drop(guard);
        done.flags = changed;
        Ok(done)
    }

    pub(super) fn append_messages(&mut self, messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        self.must_write()?;
        if messages.iter().any(|message| message.body.is_empty()) {
            return Err(FormatError::CannotHold("an mbx mailbox cannot hold a message of no octets".into()));
        }
        let guard = LockFile::take(&self.file)?;
        self.look_locked(Expunged::Stay)?;
        self.must_write()?;
        self.know(messages.iter().flat_map(|message| &message.keywords))?;
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        if self.uid_last.checked_add(count).is_none_or(|last| Uid::new(last).is_none()) {
            return Err(FormatError::CannotHold("the mailbox has used up its UIDs".into()));
        }
        let (old_size, mut uids) = (self.parsed, Vec::with_capacity(messages.len()));
        let mut last = self.uid_last;
        for message in messages.iter() {
            last = match message.uid {
                Some(wanted) if wanted.get() > last => wanted.get(),
                _ => last.saturating_add(1),
            };
            uids.extend(Uid::new(last));
        }
        // First the last UID: a record whose UID is above it would cost the mailbox its UIDVALIDITY. A gap after a crash costs nothing.
        self.uid_last = last;
        self.write_uid_last()?;
        self.sync()?;
        if let Err(error) = self.write_records(messages, &uids) {
            let undone = self.file.set_len(old_size).and_then(|()| self.file.sync_data());
            undone.map_err(|source| self.failed("cut what was appended off", source))?;
            return Err(error);
        }
        self.parse()?;
        self.set_times(Duration::from_secs(1))?;
        drop(guard);
        Ok(uids)
    }

    fn write_records(&mut self, messages: &mut [Arriving<'_>], uids: &[Uid]) -> Result<(), FormatError> {
        let mut at = self.parsed;
        let mut buffer = vec![0; COPY];
        for (message, uid) in messages.iter_mut().zip(uids) {
            let bits = self.keyword_bits(&message.keywords).unwrap_or(0);
            let status = Status { keywords: 0, flags: 0, uid: uid.get() }.with(message.flags, bits);
            let size = message.body.len();
            let internal_date = date::for_c_client(message.internal_date);
            let record = Record { internal_date, size, status, line: 0 }.write();
            // c-client opens no file whose last message is not all there: what is killed here leaves none of it.
            let mut whole = record.into_bytes();
            let mut done = 0;
            while done < size {
                let count = message
                    .body
                    .read_at(done, &mut buffer)
                    .map_err(|source| self.failed("read what is for", source))?;
                if count == 0 {
                    let source = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(self.failed("read what is for", source));
                }
                if whole.len() + count > AT_ONCE {
                    self.file.write_all_at(&whole, at).map_err(|source| self.failed("write", source))?;
                    at += whole.len() as u64;
                    whole.clear();
                }
                whole.extend_from_slice(&buffer[..count]);
                done += count as u64;
            }
            self.file.write_all_at(&whole, at).map_err(|source| self.failed("write", source))?;
            at += whole.len() as u64;
        }
        self.sync()
    }

    pub(super) fn expunge_messages(&mut self, uids: &UidSet) -> Result<Changes, FormatError> {
        self.must_write()?;
        let guard = LockFile::take(&self.file)?;
        let mut done = self.look_locked(Expunged::Stay)?;
        let mut marked = false;
        for index in 0..self.places.len() {
            if uids.contains(self.messages[index].uid) && !self.places[index].status.is_expunged() {
                self.places[index].status.flags |= EXPUNGED | OLD;
                self.ghosts = true;
                self.patch(self.places[index].text, self.places[index].status)?;
                marked = true;
            }
        }
        if marked {
            // On disk before anything moves: what a crash leaves is expunged, if not reclaimed.
            self.say_changed()?;
        }
        self.drop_expunged(&mut done);
        self.reclaim_locked()?;
        drop(guard);
        Ok(done)
    }

    /// Gives back the space of expunged messages if nobody else has the mailbox open, nor reads from it here.
    pub(super) fn reclaim(&mut self) -> Result<(), FormatError> {
        if !self.holes || !self.writes() || std::sync::Arc::strong_count(&self.readers) > 1 {
            return Ok(());
        }
        let guard = LockFile::take(&self.file)?;
        self.look_locked(Expunged::Stay)?;
        self.reclaim_locked()?;
        drop(guard);
        Ok(())
    }

    fn reclaim_locked(&mut self) -> Result<(), FormatError> {
        if !self.holes || self.ghosts || !self.writes() || std::sync::Arc::strong_count(&self.readers) > 1 {
            return Ok(());
        }
        // The attempt takes the shared lock away, whatever comes of it; nobody gets in while the lock file is held.
        let alone = Flock::attempt(&self.file, Kind::Exclusive).map_err(|source| self.failed("lock", source))?;
        let compacted = if alone { self.compact() } else { Ok(()) };
        Flock::take(&self.file, Kind::Shared, &self.path)?;
        compacted
    }

    fn compact(&mut self) -> Result<(), FormatError> {
        let mut end = HEADER as u64;
        let mut whole = 0;
        for place in &self.places {
            if place.record != end {
                break;
            }
            (end, whole) = (place.text + place.size, whole + 1);
        }
        let moved = &self.places[whole..];
        let mut buffer = vec![0; COPY];
        let file = &self.file;
        let size = rewrite::rewrite(file, &self.path, end, |out| {
            for place in moved {
                let (mut at, to) = (place.record, place.text + place.size);
                while at < to {
                    let count = usize::try_from(to - at).map_or(COPY, |left| left.min(COPY));
                    file.read_exact_at(&mut buffer[..count], at)?;
                    out.write_all(&buffer[..count])?;
                    at += count as u64;
                }
            }
            Ok(())
        })?;
        for place in &mut self.places[whole..] {
            let line = place.text - place.record;
            (place.record, place.text) = (end, end + line);
            end += line + place.size;
        }
        self.parsed = size;
        self.holes = false;
        self.note()
    }

    /// Sees to it that the mailbox has these keywords.
    fn know<'k>(&mut self, keywords: impl Iterator<Item = &'k Keyword>) -> Result<(), FormatError> {
        let mut known = self.state.keywords.clone();
        for keyword in keywords {
            if known.contains(keyword) {
                continue;
            }
            if known.len() == KEYWORDS {
                let why = format!("an mbx mailbox holds {KEYWORDS} keywords, and there is no room for {keyword}");
                return Err(FormatError::CannotHold(why));
            }
            if keyword.as_str().len() > KEYWORD_BYTES {
                let why = format!("an mbx mailbox holds keywords of {KEYWORD_BYTES} octets, and {keyword} has more");
                return Err(FormatError::CannotHold(why));
            }
            known.push(keyword.clone());
        }
        if known.len() > self.state.keywords.len() {
            let header = Header {
                validity: self.state.uid_validity,
                uid_last: self.uid_last,
                keywords: known.clone(),
                updater: std::process::id(),
            };
            self.file.write_all_at(&header.write(), 0).map_err(|source| self.failed("write", source))?;
            // Before a message names one: a bit without a name would be another keyword after a crash.
            self.sync()?;
            self.updater = std::process::id();
            self.state.keywords = known;
        }
        Ok(())
    }

    /// Flushes changed flags, and lets others see that there are some.
    fn say_changed(&mut self) -> Result<(), FormatError> {
        if self.updater != std::process::id() {
            let text = format!("{:08x}\r\n", std::process::id());
            self.file.write_all_at(text.as_bytes(), UPDATER).map_err(|source| self.failed("write", source))?;
            self.updater = std::process::id();
        }
        self.sync()?;
        self.set_times(Duration::ZERO)
    }

    /// Sets the time of the last access so long before now, as c-client does: an earlier one says that there is new mail. The time of the change goes on by a
    /// whole second at least, since c-client looks at no less.
    ///
    /// So many changes in a second take it ahead of the clock, and what c-client then changes would come before, unseen by others of its kind. So it goes
    /// ahead by no more than [`AHEAD`], and is set again when the clock has caught up.
    pub(super) fn set_times(&mut self, before_now: Duration) -> Result<(), FormatError> {
        let now = SystemTime::now();
        let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let next = SystemTime::UNIX_EPOCH + Duration::from_secs(self.changed.modified.0.max(0).unsigned_abs() + 1);
        let modified = now.max(next.min(now + AHEAD));
        self.ahead = second(modified) < second(next);
        let times = FileTimes::new().set_accessed(now - before_now).set_modified(modified);
        match self.file.set_times(times) {
            // Somebody else's file that we may write: its times are those of the write.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.note(),
            result => {
                result.map_err(|source| self.failed("set the times of", source))?;
                self.note()?;
                // Nobody else comes upon just this time.
                self.changed.settled = true;
                Ok(())
            }
        }
    }

    /// Whether the time of the last change is to be set again, and can be.
    pub(super) fn may_catch_up(&self) -> bool {
        let now = clock::seconds();
        self.ahead && self.writes() && self.changed.modified.0.max(0).unsigned_abs() < now
    }

    fn must_write(&self) -> Result<(), FormatError> {
        match &self.state.read_only {
            Some(why) => Err(FormatError::ReadOnly(why.clone())),
            None => Ok(()),
        }
    }
}

/// Makes a file without messages.
pub fn create(path: &std::path::Path, header: &Header) -> Result<(), FormatError> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = made.map_err(|source| failed("make", path, source))?;
    let written = file.write_all(&header.write()).and_then(|()| file.sync_all());
    written.map_err(|source| failed("write", path, source))
}
