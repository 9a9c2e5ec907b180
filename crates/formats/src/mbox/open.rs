//! A mailbox that is open: keeping up with its file, and with who may change it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use paquebot_types::{InternalDate, Uid, UidSet, UidValidity};

use super::body::{Reading, Text};
use super::contents::Contents;
use super::layout::{DELIMITER, Shape};
use super::numbering::Believe;
use super::separator::Separator;
use crate::clock;
use crate::driver::{Access, Owner};
use crate::error::{FormatError, failed};
use crate::lock::{Dot, FileGuard, Kind, NoGuard, Session, identity, open_quietly};
use crate::mailbox::{Body, Changes, Expunged, Message, State};
use crate::rewrite;

/// A file that is replaced again and again while we open it is given up.
const ATTEMPTS: usize = 5;
/// mbox's UIDVALIDITY of a mailbox that has none and is only read, if not even its first message tells a time.
const NO_TIME: u32 = 1;

/// Device and inode of a file that is not there, and a file that has nothing in it.
const ABSENT: (u64, u64) = (0, 0);
const NOTHING: &str = "/dev/null";

/// How a file was when it was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whether sessions are told of the messages that are there: then the file says that they were, and no later session shows them as `\Recent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Now,
    NotYet,
}

pub struct Mailbox {
    pub(super) shape: Shape,
    access: Access,
    /// Its file may be gone, or not there yet: the mailbox is empty then.
    may_be_absent: bool,
    pub(super) path: PathBuf,
    /// Whose lock files are.
    owner: Owner,
    /// To read from.
    pub(super) file: Arc<File>,
    /// Device and inode of the file that we know.
    identity: (u64, u64),
    /// `None`: what is in the file was not read, or nobody knows what became of it.
    pub(super) version: Option<Version>,
    pub(super) state: State,
    pub(super) contents: Contents,
    /// Messages that others have removed and that we still show, with all others; empty if there are none.
    with_ghosts: Vec<Message>,
    /// Some messages were told to no session before this one, and the file does not say yet that they were now.
    pub(super) unmarked: bool,
    session: Option<Session>,
    readers: Vec<Weak<Mutex<Reading>>>,
}

impl Mailbox {
    pub fn open(
        shape: Shape,
        path: &Path,
        owner: Option<Owner>,
        access: Access,
        may_be_absent: bool,
    ) -> Result<Self, FormatError> {
        let path = std::path::absolute(path).map_err(|source| failed("find", path, source))?;
        let (file, is_absent) = match open_quietly(&path) {
            Err(error) if may_be_absent && error.kind() == io::ErrorKind::NotFound => {
                (open_quietly(Path::new(NOTHING)), true)
            }
            opened => (opened, false),
        };
        let file = file.map_err(|source| failed("open", &path, source))?;
        let metadata = file.metadata().map_err(|source| failed("look at", &path, source))?;
        let mut mailbox = Self {
            shape,
            access,
            may_be_absent,
            owner: owner.unwrap_or(Owner { user: metadata.uid(), group: metadata.gid() }),
            file: Arc::new(file),
            identity: identity(&metadata),
            version: None,
            state: State {
                uid_validity: UidValidity::MIN,
                uid_next: None,
                keywords: Vec::new(),
                highest_modseq: None,
                read_only: (access == Access::Read).then(|| "it is open for reading".to_owned()),
            },
            contents: Contents::default(),
            with_ghosts: Vec::new(),
            unmarked: false,
            session: None,
            readers: Vec::new(),
            path,
        };
        if is_absent {
            mailbox.disappear();
            return Ok(mailbox);
        }
        if access == Access::Write {
            mailbox.take_session()?;
        }
        let guard = mailbox.lock()?;
        mailbox.catch_up(&guard, Told::NotYet, &mut Changes::default())?;
        drop(guard);
        Ok(mailbox)
    }

    pub fn messages(&self) -> &[Message] {
        if self.with_ghosts.is_empty() { &self.contents.messages } else { &self.with_ghosts }
    }

    /// Looks what others did, and writes what there is to write about it.
    pub fn look(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        let mut changes = Changes::default();
        self.check_session();
        let metadata = match std::fs::metadata(&self.path) {
            Err(error) if self.may_be_absent && error.kind() == io::ErrorKind::NotFound => {
                changes.all = self.identity != ABSENT;
                if changes.all {
                    self.disappear();
                }
                return Ok(changes);
            }
            found => found.map_err(|source| self.failed("look at", source))?,
        };
        if self.identity == ABSENT {
            self.appear()?;
            changes.all = true;
        }
        let known = identity(&metadata) == self.identity && self.is_known(&metadata);
        if !known || (self.unmarked && self.writes()) {
            let guard = self.lock()?;
            self.catch_up(&guard, Told::Now, &mut changes)?;
        }
        if expunged == Expunged::Leave && !self.with_ghosts.is_empty() {
            let ghosts = std::mem::take(&mut self.with_ghosts);
            let gone = ghosts.iter().map(|message| message.uid).filter(|uid| self.contents.index_of(*uid).is_none());
            changes.expunged = changes.expunged.union(&gone.collect());
        }
        Ok(changes)
    }

    pub fn body(&mut self, uid: Uid) -> Result<Box<dyn Body>, FormatError> {
        let index = self.contents.index_of(uid).ok_or(FormatError::NoMessage(uid))?;
        let place = &self.contents.entries[index].place;
        // A version that never was lets the reader look for itself.
        let version = self.version.unwrap_or_default();
        let reading = Arc::new(Mutex::new(Reading { uid, place: Some(place.clone()), version }));
        self.readers.retain(|reader| reader.strong_count() > 0);
        self.readers.push(Arc::downgrade(&reading));
        Ok(Box::new(Text::new(Arc::clone(&self.file), reading, place)))
    }

    /// There is no file: delivery makes it with the first message.
    fn disappear(&mut self) {
        (self.identity, self.version, self.contents) = (ABSENT, None, Contents::default());
        (self.with_ghosts, self.unmarked) = (Vec::new(), false);
        self.state.uid_validity = UidValidity::MIN;
        if self.access == Access::Write {
            self.lose("its file is not there");
        }
        self.tell_state();
    }

    fn appear(&mut self) -> Result<(), FormatError> {
        self.file = Arc::new(open_quietly(&self.path).map_err(|source| self.failed("open", source))?);
        let metadata = self.file.metadata().map_err(|source| self.failed("look at", source))?;
        (self.identity, self.version) = (identity(&metadata), None);
        if self.access == Access::Write {
            self.state.read_only = None;
            self.take_session()?;
        }
        Ok(())
    }

    pub fn writes(&self) -> bool {
        self.state.read_only.is_none()
    }

    /// Locks the file, and knows what is in it, with what others did meanwhile.
    pub(super) fn begin(&mut self, told: Told) -> Result<(FileGuard, Changes), FormatError> {
        let mut changes = Changes::default();
        self.must_write()?;
        let guard = self.lock()?;
        self.check_session();
        self.must_write()?;
        self.catch_up(&guard, told, &mut changes)?;
        self.must_write()?;
        Ok((guard, changes))
    }

    fn must_write(&self) -> Result<(), FormatError> {
        match &self.state.read_only {
            Some(why) => Err(FormatError::ReadOnly(why.clone())),
            None => Ok(()),
        }
    }

    /// Takes the right to change the mailbox; without it the mailbox is read only, and says why.
    fn take_session(&mut self) -> Result<(), FormatError> {
        self.session = None;
        if let Err(error) = File::options().write(true).open(&self.path) {
            self.state.read_only = Some(format!("its file cannot be written: {error}"));
            return Ok(());
        }
        match Session::take(&self.path, self.identity, self.owner)? {
            Ok(session) => self.session = Some(session),
            Err(why) => self.state.read_only = Some(why),
        }
        Ok(())
    }

    pub(super) fn check_session(&mut self) {
        if let Some(why) = self.session.as_ref().and_then(Session::lost) {
            self.lose(why);
        }
    }

    fn lose(&mut self, why: &str) {
        self.session = None;
        self.state.read_only = Some(why.to_owned());
    }

    pub fn is_asked(&mut self) -> bool {
        self.check_session();
        self.session.as_ref().is_some_and(Session::is_asked)
    }

    pub fn signal(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.session.as_ref().map(Session::signal)
    }

    pub fn give_up(&mut self) -> Result<(), FormatError> {
        if self.session.is_none() {
            return Ok(());
        }
        let looked = self.look(Expunged::Stay);
        self.lose("another session took this mailbox");
        looked.map(drop)
    }

    /// Takes the file's locks, to write if we may. A file that was put in the place of the one that we know is taken as the mailbox's new content.
    fn lock(&mut self) -> Result<FileGuard, FormatError> {
        for _ in 0..ATTEMPTS {
            let guard = self.take_guard()?;
            let metadata = guard.file.metadata().map_err(|source| self.failed("look at", source))?;
            let found = identity(&metadata);
            if found != self.identity {
                drop(guard);
                tracing::warn!(path = %self.path.display(), "another file was put in a mailbox's place");
                self.file = Arc::new(open_quietly(&self.path).map_err(|source| self.failed("open", source))?);
                let metadata = self.file.metadata().map_err(|source| self.failed("look at", source))?;
                (self.identity, self.version) = (identity(&metadata), None);
                if self.session.is_some() {
                    self.take_session()?;
                }
                continue;
            }
            if rewrite::is_pending(&self.path) {
                self.recover(guard)?;
                self.version = None;
                continue;
            }
            return Ok(guard);
        }
        Err(FormatError::InUse { path: self.path.clone(), by: "another program replaces it again and again".into() })
    }

    fn take_guard(&mut self) -> Result<FileGuard, FormatError> {
        if self.writes() {
            match FileGuard::take(&self.path, Kind::Exclusive, Dot::Must, Some(self.owner)) {
                Ok(guard) => return Ok(guard),
                Err(NoGuard::Failed(error)) => return Err(error),
                Err(NoGuard::NoDotLock(error)) => {
                    let directory = self.path.parent().unwrap_or(Path::new("/")).display();
                    let what = format!(
                        "no lock file can be made in {directory} ({error}): give that directory the mode 1777, or a group that the server is in and that may write there"
                    );
                    self.lose(&what);
                }
            }
        }
        match FileGuard::take(&self.path, Kind::Shared, Dot::May, Some(self.owner)) {
            Ok(guard) => Ok(guard),
            Err(NoGuard::Failed(error)) => Err(error),
            Err(NoGuard::NoDotLock(source)) => Err(self.failed("lock", source)),
        }
    }

    /// Finishes a change that a crash has interrupted, or undoes it: the file is in no state to be read before.
    fn recover(&self, guard: FileGuard) -> Result<(), FormatError> {
        drop(guard);
        if self.access == Access::Read {
            let by = "a change of it was interrupted, which is finished once it is opened for changes".to_owned();
            return Err(FormatError::InUse { path: self.path.clone(), by });
        }
        let guard = match FileGuard::take(&self.path, Kind::Exclusive, Dot::Must, Some(self.owner)) {
            Ok(guard) => guard,
            Err(NoGuard::Failed(error)) => return Err(error),
            Err(NoGuard::NoDotLock(source)) => return Err(self.failed("finish an interrupted change of", source)),
        };
        self.finish_interrupted(&guard)
    }

    /// The guard is one for writing.
    pub(super) fn finish_interrupted(&self, guard: &FileGuard) -> Result<(), FormatError> {
        rewrite::recover_before(&guard.file, &self.path, &|octets| begins(self.shape, octets)).map(drop)
    }

    fn is_known(&self, metadata: &Metadata) -> bool {
        let found = Version::of(metadata);
        match self.version {
            // Nobody but us changes flags while we hold the session, and reading it changes its times.
            Some(known) if self.writes() => (known.size, known.modified) == (found.size, found.modified),
            known => known == Some(found),
        }
    }

    /// Learns what others did, and writes what new messages lack.
    fn catch_up(&mut self, guard: &FileGuard, told: Told, changes: &mut Changes) -> Result<(), FormatError> {
        let metadata = guard.file.metadata().map_err(|source| self.failed("look at", source))?;
        if self.version.is_none() || !self.is_known(&metadata) {
            let has_grown = self.version.is_some() && metadata.len() > self.contents.end;
            if !has_grown || !self.go_on(guard, &metadata, changes)? {
                self.read_all(guard, &metadata, changes)?;
            }
            self.version = Some(Version::of(&metadata));
            self.tell_state();
        }
        self.settle(guard, told)
    }

    /// Reads what has come behind the end; `false` if that is not all that has happened.
    fn go_on(&mut self, guard: &FileGuard, metadata: &Metadata, changes: &mut Changes) -> Result<bool, FormatError> {
        let is_in = self.contents.is_in(&guard.file).map_err(|source| self.failed("read", source))?;
        if !is_in || self.contents.problem.is_some() {
            return Ok(false);
        }
        let (before, validity) = (self.contents.entries.len(), self.contents.numbering.validity);
        let believe = if self.writes() { Believe::None } else { Believe::All };
        let read = self.contents.go_on(self.shape, &guard.file, metadata.len(), undated(metadata), believe);
        let other = read.map_err(|source| self.failed("read", source))?;
        if other.is_some() || self.contents.problem.is_some() || self.contents.numbering.validity != validity {
            tracing::warn!(path = %self.path.display(), ?other, "no message begins where the mailbox ended: it is read anew");
            self.contents.entries.truncate(before);
            self.contents.messages.truncate(before);
            return Ok(false);
        }
        self.arrived(before, changes);
        Ok(true)
    }

    /// Entries from this one on are new.
    pub(super) fn arrived(&mut self, before: usize, changes: &mut Changes) {
        let new = &self.contents.messages[before..];
        self.unmarked |= new.iter().any(|message| message.recent);
        changes.arrived = changes.arrived.union(&new.iter().map(|message| message.uid).collect());
        if !self.with_ghosts.is_empty() {
            self.with_ghosts.extend_from_slice(new);
        }
    }

    /// Reads the whole file, and finds what is different from what we knew.
    fn read_all(&mut self, guard: &FileGuard, metadata: &Metadata, changes: &mut Changes) -> Result<(), FormatError> {
        let read = Contents::read(self.shape, &guard.file, metadata.len(), undated(metadata));
        let mut found = read.map_err(|source| self.failed("read", source))?;
        if let Some((offset, what)) = found.problem {
            if found.entries.is_empty() && found.pseudo.is_none() {
                return Err(FormatError::Damaged { path: self.path.clone(), offset, what: what.into() });
            }
            let why = format!("it is damaged at byte {offset}: {what}");
            tracing::error!(path = %self.path.display(), offset, what, "the mailbox is damaged: what is before is served, and not written to");
            if self.writes() {
                self.lose(&why);
            }
        }
        let first = self.version.is_none() && self.contents.end == 0;
        let validity = match found.numbering.validity {
            Some(validity) => validity,
            None if self.writes() => new_validity(found.numbering.thrown),
            None => derived_validity(&found, metadata),
        };
        let old = std::mem::take(&mut self.contents);
        self.unmarked = found.messages.iter().any(|message| message.recent);
        if first {
            (self.contents, self.state.uid_validity) = (found, validity);
        } else if validity == self.state.uid_validity && !contradicts(&old, &found) {
            found.numbering.uid_last = found.numbering.uid_last.max(old.numbering.uid_last);
            self.contents = found;
            self.compare(old, changes);
        } else {
            changes.all = true;
            if validity == self.state.uid_validity {
                tracing::warn!(path = %self.path.display(), "other messages have the UIDs of those before: UIDVALIDITY does not hold");
                found.numbering.thrown = Some(validity);
                self.state.uid_validity = new_validity(Some(validity));
            } else {
                self.state.uid_validity = validity;
            }
            found.numbering.validity = found.numbering.validity.map(|_| self.state.uid_validity);
            self.with_ghosts = Vec::new();
            self.contents = found;
        }
        self.tell_readers(Version::of(metadata));
        Ok(())
    }

    /// What others did to the messages that we knew.
    fn compare(&mut self, old: Contents, changes: &mut Changes) {
        let shown_before = if self.with_ghosts.is_empty() { &old.messages } else { &self.with_ghosts };
        let mut arrived = Vec::new();
        let mut flags = Vec::new();
        for message in &mut self.contents.messages {
            match old.index_of(message.uid).map(|index| &old.messages[index]) {
                None => arrived.push(message.uid),
                Some(before) => {
                    message.recent = before.recent;
                    if (before.flags, before.keywords) != (message.flags, message.keywords) {
                        flags.push(message.uid);
                    }
                }
            }
        }
        let is_gone = |message: &&Message| self.contents.index_of(message.uid).is_none();
        let ghosts: Vec<Message> = shown_before.iter().filter(is_gone).copied().collect();
        self.with_ghosts = Vec::new();
        if !ghosts.is_empty() {
            self.with_ghosts.clone_from(&self.contents.messages);
            self.with_ghosts.extend(ghosts);
            self.with_ghosts.sort_by_key(|message| message.uid);
        }
        changes.flags = changes.flags.union(&flags.into_iter().collect());
        changes.arrived = changes.arrived.union(&arrived.into_iter().collect());
    }

    pub(super) fn tell_state(&mut self) {
        let numbering = &self.contents.numbering;
        self.state.uid_next = numbering.uid_last.checked_add(1).and_then(Uid::new);
        if self.state.keywords != numbering.keywords {
            self.state.keywords.clone_from(&numbering.keywords);
        }
    }

    /// Messages of ours are gone.
    pub(super) fn drop_shown(&mut self, gone: &UidSet) {
        self.with_ghosts.retain(|message| !gone.contains(message.uid));
        if self.with_ghosts.len() == self.contents.messages.len() {
            self.with_ghosts = Vec::new();
        }
    }

    /// Changes the file while nobody reads from it here, and tells the readers where their messages are then.
    pub(super) fn without_readers<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> R {
        let readers: Vec<Arc<Mutex<Reading>>> = self.readers.iter().filter_map(Weak::upgrade).collect();
        let mut stopped: Vec<_> =
            readers.iter().map(|reader| reader.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        let done = change(self);
        let version = self.version.unwrap_or_default();
        for reading in &mut stopped {
            let index = self.contents.index_of(reading.uid).filter(|_| reading.place.is_some());
            reading.place = index.map(|index| self.contents.entries[index].place.clone());
            reading.version = version;
        }
        done
    }

    /// After the file was read anew: a message that is the same goes on, from wherever it is now.
    fn tell_readers(&mut self, version: Version) {
        for reader in self.readers.iter().filter_map(Weak::upgrade) {
            let mut reading = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = self.contents.index_of(reading.uid).map(|index| &self.contents.entries[index]);
            reading.place = match (&reading.place, entry) {
                (Some(old), Some(entry)) if is_same(old, &entry.place) => Some(entry.place.clone()),
                _ => None,
            };
            reading.version = version;
        }
    }

    pub(super) fn note(&mut self, file: &File) -> Result<(), FormatError> {
        let metadata = file.metadata().map_err(|source| self.failed("look at", source))?;
        self.version = Some(Version::of(&metadata));
        Ok(())
    }

    pub(super) fn failed(&self, doing: &'static str, source: io::Error) -> FormatError {
        failed(doing, &self.path, source)
    }
}

/// Whether a message begins here.
fn begins(shape: Shape, octets: &[u8]) -> bool {
    match shape {
        Shape::Mmdf => octets.starts_with(DELIMITER),
        Shape::Mbox => {
            let line = memchr::memchr(b'\n', octets).map(|end| &octets[..=end]);
            line.is_some_and(|line| Separator::parse(line, 0).is_some())
        }
    }
}

fn is_same(one: &super::place::Place, other: &super::place::Place) -> bool {
    (one.shown_hash, one.size) == (other.shown_hash, other.size)
}

/// Whether the UIDs of one file mean other messages than those of the other.
fn contradicts(old: &Contents, new: &Contents) -> bool {
    new.entries.iter().any(|entry| match old.index_of(entry.uid) {
        Some(index) => !is_same(&old.entries[index].place, &entry.place),
        None => entry.uid.get() <= old.numbering.uid_last,
    })
}

/// A UIDVALIDITY that was not there before.
fn new_validity(before: Option<UidValidity>) -> UidValidity {
    let least = before.map_or(1, |before| before.get().saturating_add(1));
    UidValidity::new(clock::seconds_32().max(least)).unwrap_or(UidValidity::MAX)
}

/// A UIDVALIDITY that another look at the same file gives too, and one at another file likely not.
fn derived_validity(contents: &Contents, metadata: &Metadata) -> UidValidity {
    let dated = contents.entries.first().is_some_and(|entry| !entry.undated);
    let seconds = match contents.messages.first() {
        Some(message) if dated => message.internal_date.unix_seconds(),
        _ => metadata.mtime(),
    };
    let seconds = u32::try_from(seconds).unwrap_or(NO_TIME).max(NO_TIME);
    // One that the file names, and that does not hold, must not come back.
    let least = contents.numbering.thrown.map_or(NO_TIME, |thrown| thrown.get().saturating_add(1));
    UidValidity::new(seconds.max(least)).unwrap_or(UidValidity::MAX)
}

fn undated(metadata: &Metadata) -> InternalDate {
    InternalDate::utc(metadata.mtime())
}
