//! Reading an mbx file, and keeping up with it.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use paquebot_types::{Keyword, Uid, UidSet, UidValidity};

use super::layout::{self, HEADER, Header, OLD, RECORD, Record, STATUS, STATUS_BYTES, Status, UID_LAST};
use crate::clock;
use crate::driver::Access;
use crate::error::{FormatError, failed};
use crate::lock::{Flock, Kind, LockFile};
use crate::mailbox::{Body, Changes, Expunged, Message, State};
use crate::rewrite;

/// What is read at once while records are looked for.
const WINDOW: usize = 256 << 10;

/// An open mbx file.
pub struct Mbx {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) state: State,
    pub(super) messages: Vec<Message>,
    /// Of each message: where it lies.
    pub(super) places: Vec<Place>,
    /// Records that are expunged already and only take space.
    pub(super) holes: bool,
    /// Messages that others have expunged and that we still show.
    pub(super) ghosts: bool,
    /// Up to here the file has been read.
    pub(super) parsed: u64,
    pub(super) uid_last: u32,
    /// As it stands in the file: another where UIDs cannot be, and we may not write.
    pub(super) validity_written: UidValidity,
    /// Who changed flags last, and when, when we looked.
    pub(super) updater: u32,
    pub(super) changed: Changed,
    /// The time of the last change is ahead of the clock by as much as it may be: it is to be set once more.
    pub(super) ahead: bool,
    /// Each body that is being read has a clone: while there are some nothing is moved.
    pub(super) readers: Arc<()>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Of the record's line.
    pub record: u64,
    pub text: u64,
    pub size: u64,
    pub status: Status,
    /// The UID that stands in the file: another where it cannot be, or none yet, and we may not write.
    pub written: u32,
}

/// The kernel's clock for files goes in steps, of no more than this.
const TICK: Duration = Duration::from_millis(20);

/// When a file was changed, as far as we know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// mtime, in seconds and nanoseconds. c-client sets it to whole seconds, so that of two changes in one second the second does not show in it.
    pub modified: (i64, i64),
    /// ctime, which nobody can set.
    pub status: (i64, i64),
    /// False if it was so short a while ago that another program may change the file again at what the kernel takes for the same time.
    pub settled: bool,
}

impl Changed {
    fn of(metadata: &Metadata) -> Self {
        let status = (metadata.ctime(), metadata.ctime_nsec());
        let settled = SystemTime::now().duration_since(time(status)).is_ok_and(|ago| ago > TICK);
        Self { modified: (metadata.mtime(), metadata.mtime_nsec()), status, settled }
    }

    fn is_still(self, metadata: &Metadata) -> bool {
        let now = Self::of(metadata);
        self.settled && (self.modified, self.status) == (now.modified, now.status)
    }
}

fn time((seconds, nanoseconds): (i64, i64)) -> SystemTime {
    let since = Duration::new(seconds.max(0).unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH + since
}

impl Mbx {
    pub fn open(path: &Path, access: Access) -> Result<Self, FormatError> {
        let write = OpenOptions::new().read(true).write(access == Access::Write).open(path);
        let (file, read_only) = match write {
            Ok(file) => (file, (access == Access::Read).then(|| "it is open for reading".to_owned())),
            Err(error) if access == Access::Write && is_refused(&error) => {
                let file = File::open(path).map_err(|source| failed("open", path, source))?;
                (file, Some(format!("its file cannot be written: {error}")))
            }
            Err(source) => return Err(failed("open", path, source)),
        };
        // The lock around the first look keeps out whoever compacts, as c-client does at open.
        let guard = LockFile::take(&file)?;
        if read_only.is_none() && Flock::attempt(&file, Kind::Exclusive).map_err(|e| failed("lock", path, e))? {
            rewrite::recover(&file, path)?;
        }
        Flock::take(&file, Kind::Shared, path)?;
        let header = read_header(&file, path)?;
        let mut mailbox = Self {
            path: path.into(),
            file,
            state: State {
                uid_validity: header.validity,
                uid_next: None,
                keywords: Vec::new(),
                highest_modseq: None,
                read_only,
            },
            messages: Vec::new(),
            places: Vec::new(),
            holes: false,
            ghosts: false,
            parsed: HEADER as u64,
            uid_last: header.uid_last,
            validity_written: header.validity,
            updater: header.updater,
            changed: Changed::default(),
            ahead: false,
            readers: Arc::new(()),
        };
        mailbox.take_header(header);
        mailbox.parse()?;
        mailbox.note()?;
        drop(guard);
        Ok(mailbox)
    }

    /// Looks what others did: their new messages, flags and expunges.
    pub(super) fn look(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        let metadata = self.file.metadata().map_err(|source| self.failed("look at", source))?;
        let grown = metadata.len() != self.parsed;
        if !grown && self.changed.is_still(&metadata) && !self.may_catch_up() {
            let mut changes = Changes::default();
            if expunged == Expunged::Leave {
                self.drop_expunged(&mut changes);
            }
            return Ok(changes);
        }
        let guard = LockFile::take(&self.file)?;
        let changes = self.look_locked(expunged)?;
        drop(guard);
        Ok(changes)
    }

    /// The same for one who holds the lock file.
    pub(super) fn look_locked(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        let mut changes = Changes::default();
        let metadata = self.file.metadata().map_err(|source| self.failed("look at", source))?;
        if metadata.len() < self.parsed {
            return Err(self.damaged(metadata.len(), "it has become shorter while it was open"));
        }
        let header = read_header(&self.file, &self.path)?;
        self.state.keywords = header.keywords.clone();
        if header.validity != self.validity_written {
            return Err(self.damaged(7, "UIDVALIDITY has changed while it was open"));
        }
        if !self.changed.is_still(&metadata) || header.updater != self.updater {
            self.read_flags(&mut changes)?;
        }
        self.updater = header.updater;
        self.take_header(header);
        if metadata.len() > self.parsed {
            let before = self.messages.len();
            self.parse()?;
            let arrived: Vec<Uid> = self.messages[before..].iter().map(|message| message.uid).collect();
            changes.arrived = arrived.into_iter().collect();
        }
        if expunged == Expunged::Leave {
            self.drop_expunged(&mut changes);
        }
        match self.may_catch_up() {
            true => self.set_times(Duration::ZERO)?,
            false => self.note()?,
        }
        Ok(changes)
    }

    fn take_header(&mut self, header: Header) {
        self.uid_last = self.uid_last.max(header.uid_last);
        self.state.uid_next = self.uid_last.checked_add(1).and_then(Uid::new);
        self.state.keywords = header.keywords;
    }

    /// Reads the records from where we stopped, and gives UIDs to those that have none.
    pub(super) fn parse(&mut self) -> Result<(), FormatError> {
        let end = self.file.metadata().map_err(|source| self.failed("look at", source))?.len();
        let before = self.uid_last;
        let mut last = self.places.last().map_or(0, |place| place.status.uid);
        let mut window = Window { at: 0, octets: Vec::new() };
        while self.parsed < end {
            let at = self.parsed;
            let line = window.get(&self.file, at, end).map_err(|source| self.failed("read", source))?;
            let mut record = match Record::parse(line) {
                Ok(record) => record,
                Err(what) => return self.stop_at(at, what),
            };
            let text = at + record.line as u64;
            if text.checked_add(record.size).is_none_or(|next| next > end) {
                return self.stop_at(at, "the last message runs past the end of the file");
            }
            let recent = record.status.is_recent();
            let status = &mut record.status;
            let mut written = status.uid;
            if status.uid != 0 && (status.uid <= last || status.uid > self.uid_last) {
                self.number_anew(last)?;
                status.uid = 0;
            }
            if status.uid == 0 {
                status.uid = match self.uid_last.checked_add(1) {
                    Some(next) => next,
                    None => return self.stop_at(at, "its UIDs are used up"),
                };
                self.uid_last = status.uid;
            }
            last = status.uid;
            if (recent || status.uid != written) && self.writes() {
                status.flags |= OLD;
                self.patch(text, *status)?;
                written = status.uid;
            }
            let place = Place { record: at, text, size: record.size, status: *status, written };
            match status.is_expunged() {
                true => self.holes = true,
                false => self.add(place, record, recent),
            }
            self.parsed = text + record.size;
        }
        self.state.uid_next = self.uid_last.checked_add(1).and_then(Uid::new);
        if self.uid_last != before && self.writes() {
            self.write_uid_last()?;
            self.sync()?;
        }
        Ok(())
    }

    fn add(&mut self, place: Place, record: Record, recent: bool) {
        let Some(uid) = Uid::new(place.status.uid) else { return };
        self.messages.push(Message {
            uid,
            flags: place.status.system_flags(),
            keywords: u128::from(place.status.keywords) & self.state.named(),
            recent,
            internal_date: record.internal_date,
            size: Some(record.size),
            modseq: None,
        });
        self.places.push(place);
    }

    /// A UID that cannot be: this and all later messages get new ones, under a UIDVALIDITY that says so. As c-client does it.
    fn number_anew(&mut self, last: u32) -> Result<(), FormatError> {
        let now = clock::seconds_32().max(self.state.uid_validity.get().saturating_add(1));
        self.state.uid_validity = UidValidity::new(now).unwrap_or(UidValidity::MAX);
        self.uid_last = last;
        tracing::warn!(path = %self.path.display(), "a message has a UID that cannot be: it and those after it get new ones");
        if self.writes() {
            let text = format!("{:08x}{:08x}", self.state.uid_validity.get(), self.uid_last);
            self.file.write_all_at(text.as_bytes(), 7).map_err(|source| self.failed("write", source))?;
            self.validity_written = self.state.uid_validity;
        }
        Ok(())
    }

    /// What lies before a damage is served, and nothing is written.
    fn stop_at(&mut self, at: u64, what: &str) -> Result<(), FormatError> {
        tracing::error!(path = %self.path.display(), offset = at, what, "the mailbox is damaged: what is before is served, and not written to");
        self.state.read_only = Some(format!("it is damaged at byte {at}: {what}"));
        self.state.uid_next = self.uid_last.checked_add(1).and_then(Uid::new);
        self.parsed = self.file.metadata().map_err(|source| self.failed("look at", source))?.len();
        Ok(())
    }

    /// Reads the flags of all messages again: others have changed some.
    fn read_flags(&mut self, changes: &mut Changes) -> Result<(), FormatError> {
        let mut flags = Vec::new();
        let named = self.state.named();
        for index in 0..self.places.len() {
            let place = self.places[index];
            let mut octets = [0; STATUS_BYTES];
            let read = self.file.read_exact_at(&mut octets, place.text - STATUS);
            read.map_err(|source| self.failed("read", source))?;
            let found = Status::parse(&octets).filter(|found| [place.status.uid, place.written].contains(&found.uid));
            let Some(mut found) = found else {
                return Err(self.damaged(place.record, "a record has changed under us"));
            };
            found.uid = place.status.uid;
            if found != place.status {
                self.places[index].status = found;
                self.ghosts |= found.is_expunged();
                let message = &mut self.messages[index];
                let (system, keywords) = (found.system_flags(), u128::from(found.keywords) & named);
                if (system, keywords) != (message.flags, message.keywords) {
                    (message.flags, message.keywords) = (system, keywords);
                    flags.push(message.uid);
                }
            }
        }
        changes.flags = flags.into_iter().collect();
        Ok(())
    }

    pub(super) fn drop_expunged(&mut self, changes: &mut Changes) {
        if !std::mem::take(&mut self.ghosts) {
            return;
        }
        let gone: Vec<Uid> =
            self.places.iter().filter(|place| place.status.is_expunged()).filter_map(Place::uid).collect();
        self.holes = true;
        let mut keep = self.places.iter().map(|place| !place.status.is_expunged());
        self.messages.retain(|_| keep.next().unwrap_or(false));
        self.places.retain(|place| !place.status.is_expunged());
        let gone: UidSet = gone.into_iter().collect();
        for set in [&mut changes.flags, &mut changes.arrived] {
            *set = set.iter().filter(|uid| !gone.contains(*uid)).collect();
        }
        changes.expunged = gone;
    }

    /// Notes when the file was changed last.
    pub(super) fn note(&mut self) -> Result<(), FormatError> {
        let metadata = self.file.metadata().map_err(|source| self.failed("look at", source))?;
        self.changed = Changed::of(&metadata);
        Ok(())
    }

    pub(super) fn writes(&self) -> bool {
        self.state.read_only.is_none()
    }

    pub(super) fn patch(&self, text: u64, status: Status) -> Result<(), FormatError> {
        let written = self.file.write_all_at(status.write().as_bytes(), text - STATUS);
        written.map_err(|source| self.failed("write", source))
    }

    pub(super) fn write_uid_last(&self) -> Result<(), FormatError> {
        let written = self.file.write_all_at(format!("{:08x}", self.uid_last).as_bytes(), UID_LAST);
        written.map_err(|source| self.failed("write", source))
    }

    pub(super) fn sync(&self) -> Result<(), FormatError> {
        self.file.sync_data().map_err(|source| self.failed("flush", source))
    }

    pub(super) fn failed(&self, doing: &'static str, source: io::Error) -> FormatError {
        failed(doing, &self.path, source)
    }

    pub(super) fn damaged(&self, offset: u64, what: &str) -> FormatError {
        FormatError::Damaged { path: self.path.clone(), offset, what: what.into() }
    }

    pub(super) fn index_of(&self, uid: Uid) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }

    pub(super) fn keyword_bits(&self, keywords: &[Keyword]) -> Option<u32> {
        keywords.iter().try_fold(0, |bits, keyword| {
            let place = self.state.keywords.iter().position(|known| known == keyword)?;
            Some(bits | 1 << place)
        })
    }
}

impl Place {
    pub(super) fn uid(&self) -> Option<Uid> {
        Uid::new(self.status.uid)
    }
}

/// A message's octets where they lie. While it is there nobody moves them: other programs need the lock that the mailbox has, and we look.
pub struct Text {
    pub(super) file: File,
    pub(super) text: u64,
    pub(super) size: u64,
    pub(super) _reading: Arc<()>,
}

impl Body for Text {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.within(offset, buffer.len());
        self.file.read_exact_at(&mut buffer[..count], self.text.saturating_add(offset))?;
        Ok(count)
    }
}

/// Records lie far apart or close together: a piece of the file serves for the next ones.
struct Window {
    at: u64,
    octets: Vec<u8>,
}

impl Window {
    /// The octets at a place, [`RECORD`] of them unless the file ends before.
    fn get(&mut self, file: &File, at: u64, end: u64) -> io::Result<&[u8]> {
        let wanted = (end - at).min(RECORD as u64) as usize;
        let have = self.at + self.octets.len() as u64;
        if at < self.at || at + wanted as u64 > have {
            // The next record is likely near when the last was in this window, and otherwise far.
            let near = at < have.saturating_add(WINDOW as u64) && !self.octets.is_empty();
            let count = (end - at).min(if near { WINDOW as u64 } else { 8 * RECORD as u64 }) as usize;
            self.octets.resize(count, 0);
            file.read_exact_at(&mut self.octets, at)?;
            self.at = at;
        }
        let start = (at - self.at) as usize;
        Ok(&self.octets[start..start + wanted])
    }
}

fn read_header(file: &File, path: &Path) -> Result<Header, FormatError> {
    let mut octets = [0; HEADER];
    match file.read_exact_at(&mut octets, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let what = "the file is shorter than an mbx header".into();
            return Err(FormatError::Damaged { path: path.into(), offset: 0, what });
        }
        result => result.map_err(|source| failed("read", path, source))?,
    }
    layout::Header::parse(&octets).map_err(|(offset, what)| FormatError::Damaged {
        path: path.into(),
        offset,
        what: what.into(),
    })
}

fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
