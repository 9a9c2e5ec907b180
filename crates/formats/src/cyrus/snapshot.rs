//! What the files of a mailbox say at one moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use paquebot_types::{Flags, InternalDate, Keyword, ModSeq, Uid, UidValidity};

use super::config::Place;
use super::database::Database;
use super::header::{self, Header};
use super::index::{self, Guid, Record, Refused};
use super::report;
use super::seen::Seen;
use crate::error::FormatError;
use crate::lock::{FileLock, Kind};
use crate::mailbox::Message;

/// Cyrus holds its locks for one command.
const WAIT: Duration = Duration::from_secs(30);
/// An index that is replaced more often while it is opened is given up.
const REPLACED_MAX: usize = 100;
/// Records are read so many at once.
const RECORDS: usize = 1024;

/// Where a mailbox's files are, and who looks.
#[derive(Debug)]
pub struct Source {
    pub place: Place,
    /// The locks that come before the index's, in their order.
    pub locks: Vec<PathBuf>,
    pub is_owner: bool,
    pub seen: PathBuf,
    pub anyones_seen: Option<PathBuf>,
    /// As the list of mailboxes has it: for an index whose header is damaged.
    pub uid_validity: Option<u32>,
    pub unique_id: String,
}

#[derive(Debug)]
pub struct Snapshot {
    pub uid_validity: UidValidity,
    pub uid_next: Option<Uid>,
    pub highest_modseq: Option<ModSeq>,
    pub keywords: Vec<Keyword>,
    pub messages: Vec<Message>,
    /// Of each message.
    pub guids: Vec<Guid>,
    /// Expunged, with files.
    pub expunged: Vec<Message>,
    pub unique_id: String,
    pub stamps: Stamps,
}

/// What tells that files have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps {
    index: Stamp,
    header: Stamp,
    seen: Stamp,
}

/// A file's identity, times and first octets, which hold a counter; all zero if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    modified: (i64, i64),
    length: u64,
    start: Vec<u8>,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, FormatError> {
        let failed = |doing, source| FormatError::Io { doing, path: path.into(), source };
        let file = match File::open(path) {
            Err(error) if is_absent(&error) => return Ok(Self::default()),
            file => file.map_err(|source| failed("open", source))?,
        };
        let metadata = file.metadata().map_err(|source| failed("look at", source))?;
        Ok(Self {
            inode: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            length: metadata.len(),
            start: read_some(&file, 0, index::HEADER_MAX).map_err(|source| failed("read", source))?,
        })
    }
}

impl Source {
    /// How the files are now. Cheap.
    pub fn stamps(&self) -> Result<Stamps, FormatError> {
        Ok(Stamps {
            index: Stamp::of(&self.place.index)?,
            header: Stamp::of(&self.place.header)?,
            seen: Stamp::of(&self.seen)?,
        })
    }

    /// Reads everything, under Cyrus's locks. `None`: there is no such mailbox any more.
    pub fn read(&self) -> Result<Option<Snapshot>, FormatError> {
        let until = Instant::now() + WAIT;
        let _held = self.lock_before(until)?;
        let Some(file) = self.lock_index(until)? else { return Ok(None) };
        // Of before: if something changes while it is read, it is read again.
        let stamps = self.stamps()?;
        let index = self.read_index_header(&file)?;
        let header = self.read_header(index.header_file_crc.filter(|_| index.is_whole))?;
        let records = read_records(&file, &self.place.index, &index, Order::Ascending)?;
        let unique_id = if header.unique_id.is_empty() { self.unique_id.clone() } else { header.unique_id.clone() };
        let by_record = index.version.keeps_seen() && (self.is_owner || index.shared_seen);
        let seen = if by_record { None } else { Some(self.read_seen(&unique_id, index.shared_seen)?) };
        let recent_after = seen.as_ref().map_or(index.recent_uid.unwrap_or(0), |seen| seen.last_uid);
        let (keywords, bits) = self.keywords(&header);
        let view = View { seen, recent_after, bits };

        let with = |expunged: bool| records.iter().filter(move |record| record.is_expunged == expunged);
        let shown = with(false).filter_map(|record| Some((view.message(record)?, record.guid)));
        let (messages, guids) = shown.unzip();
        let expunged = with(true).filter(|record| record.has_file).filter_map(|record| view.message(record));
        let mut expunged: Vec<Message> = expunged.collect();
        if !index.version.keeps_seen() {
            expunged.extend(self.read_expunged()?.iter().filter_map(|record| view.message(record)));
            expunged.sort_by_key(|message| message.uid);
            expunged.dedup_by_key(|message| message.uid);
        }
        let last = records.last().map_or(0, |record| record.uid);
        let last = if index.is_whole { index.last_uid.max(last) } else { last };
        Ok(Some(Snapshot {
            uid_validity: self.uid_validity(&index)?,
            uid_next: last.checked_add(1).and_then(Uid::new),
            highest_modseq: index.highest_modseq.map(mod_seq),
            keywords,
            messages,
            guids,
            expunged,
            unique_id,
            stamps,
        }))
    }

    /// The locks that come before the index's, for as long as the files are there.
    fn lock_before(&self, until: Instant) -> Result<Vec<File>, FormatError> {
        let mut held = Vec::new();
        for path in &self.locks {
            match File::open(path) {
                Ok(file) => {
                    FileLock::take_until(&file, Kind::Shared, path, until)?;
                    held.push(file);
                }
                // Nobody has made it, so nobody has it: the index's own lock is what counts.
                Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(source) => return Err(FormatError::Io { doing: "open", path: path.clone(), source }),
            }
        }
        Ok(held)
    }

    /// The index, locked: a repack may have put another in its place while we waited.
    fn lock_index(&self, until: Instant) -> Result<Option<File>, FormatError> {
        let path = &self.place.index;
        for _ in 0..REPLACED_MAX {
            let file = match File::open(path) {
                Err(error) if is_absent(&error) => return Ok(None),
                file => file.map_err(|source| self.failed("open", source))?,
            };
            FileLock::take_until(&file, Kind::Shared, path, until)?;
            let ours = file.metadata().map_err(|source| self.failed("look at", source))?;
            match std::fs::metadata(path) {
                Ok(now) if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) => return Ok(Some(file)),
                Err(error) if !is_absent(&error) => return Err(self.failed("look at", error)),
                _ => {}
            }
        }
        Err(FormatError::InUse { path: path.clone(), by: "another program replaces it again and again".into() })
    }

    fn read_index_header(&self, file: &File) -> Result<index::Header, FormatError> {
        let path = &self.place.index;
        let start = read_some(file, 0, index::HEADER_MAX).map_err(|source| self.failed("read", source))?;
        let index = index::Header::parse(&start).map_err(|refused| match refused {
            Refused::Version(minor) => {
                FormatError::CannotHold(format!("{} is of version {minor}, which is not known here", path.display()))
            }
            Refused::Damaged(offset, what) => FormatError::Damaged { path: path.clone(), offset, what: what.into() },
        })?;
        if !index.is_whole {
            report::damage(path, (index.version.header - 4) as u64, "the checksum of the index's header is wrong");
        }
        Ok(index)
    }

    fn uid_validity(&self, index: &index::Header) -> Result<UidValidity, FormatError> {
        let told = if index.is_whole { None } else { self.uid_validity };
        UidValidity::new(told.unwrap_or(index.uid_validity)).ok_or_else(|| FormatError::Damaged {
            path: self.place.index.clone(),
            offset: 44,
            what: "UIDVALIDITY is 0".into(),
        })
    }

    /// The header; one without names if it is damaged.
    fn read_header(&self, crc: Option<u32>) -> Result<Header, FormatError> {
        let path = &self.place.header;
        let octets = match File::open(path).and_then(|file| read_some(&file, 0, header::BYTES_MAX as usize)) {
            Err(error) if is_absent(&error) => {
                report::damage(path, 0, "the mailbox's header is missing: its keywords are unknown");
                return Ok(Header::default());
            }
            octets => octets.map_err(|source| FormatError::Io { doing: "read", path: path.clone(), source })?,
        };
        if crc.is_some_and(|crc| crc != crc32fast::hash(&octets)) {
            report::damage(path, 0, "the mailbox's header is not the one that the index belongs to");
        }
        Ok(Header::parse(&octets).unwrap_or_else(|(offset, what)| {
            report::damage(path, offset, what);
            Header::default()
        }))
    }

    /// Before version 12 expunged records had a file of their own, in the order of their expunges.
    fn read_expunged(&self) -> Result<Vec<Record>, FormatError> {
        let path = self.place.index.with_file_name("cyrus.expunge");
        let Ok(file) = File::open(&path) else { return Ok(Vec::new()) };
        let start = read_some(&file, 0, index::HEADER_MAX).map_err(|source| self.failed("read", source))?;
        match index::Header::parse(&start) {
            Ok(header) => {
                let everything = index::Header { last_uid: u32::MAX, ..header };
                read_records(&file, &path, &everything, Order::Any)
            }
            Err(_) => {
                report::damage(&path, 0, "expunged messages cannot be read");
                Ok(Vec::new())
            }
        }
    }

    /// What the user has seen, or everybody together.
    fn read_seen(&self, unique_id: &str, shared: bool) -> Result<Seen, FormatError> {
        let path = if shared { self.anyones_seen.as_ref().unwrap_or(&self.seen) } else { &self.seen };
        let database = match Database::open(path) {
            Err(FormatError::Damaged { offset, .. }) => {
                report::damage(path, offset, "what a user has seen cannot be read");
                None
            }
            opened => opened?,
        };
        let Some(value) = database.and_then(|database| database.get(unique_id.as_bytes())) else {
            return Ok(Seen::default());
        };
        Ok(Seen::parse(&value).unwrap_or_else(|| {
            report::damage(path, 0, "what a user has seen of a mailbox cannot be read");
            Seen::default()
        }))
    }

    /// The keywords that have names, and of each the bit in a record and the bit in [`Message::keywords`].
    fn keywords(&self, header: &Header) -> (Vec<Keyword>, Vec<(usize, usize)>) {
        let (mut keywords, mut bits): (Vec<Keyword>, _) = (Vec::new(), Vec::new());
        for (bit, name) in header.keywords.iter().enumerate().take(header::KEYWORDS) {
            let Some(name) = name else { continue };
            match Keyword::new(name) {
                Ok(keyword) => {
                    // Names that differ in case only are one keyword.
                    let place = keywords.iter().position(|known| *known == keyword).unwrap_or(keywords.len());
                    if place == keywords.len() {
                        keywords.push(keyword);
                    }
                    bits.push((bit, place));
                }
                Err(_) => report::damage(&self.place.header, bit as u64, "a keyword is none"),
            }
        }
        (keywords, bits)
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> FormatError {
        FormatError::Io { doing, path: self.place.index.clone(), source }
    }
}

/// How one user sees records.
struct View {
    /// `None`: as the records say.
    seen: Option<Seen>,
    recent_after: u32,
    /// Bits of a record, and of [`Message::keywords`].
    bits: Vec<(usize, usize)>,
}

impl View {
    fn message(&self, record: &Record) -> Option<Message> {
        let uid = Uid::new(record.uid)?;
        let flags = match &self.seen {
            Some(seen) if seen.uids.contains(uid) => record.flags.union(Flags::SEEN),
            Some(_) => record.flags.difference(Flags::SEEN),
            None => record.flags,
        };
        Some(Message {
            uid,
            flags,
            keywords: self.bits.iter().fold(0, |all, (old, new)| all | (record.keywords >> old & 1) << new),
            recent: record.uid > self.recent_after,
            internal_date: InternalDate::utc(record.unix_seconds),
            size: Some(record.size),
            modseq: record.modseq.map(mod_seq),
        })
    }
}

/// Whether a UID that is not above the one before is a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Any,
}

/// The records of an open index that are whole.
fn read_records(file: &File, path: &Path, index: &index::Header, order: Order) -> Result<Vec<Record>, FormatError> {
    let failed = |doing, source| FormatError::Io { doing, path: path.into(), source };
    let (start, size) = (index.version.header as u64, index.version.record);
    let length = file.metadata().map_err(|source| failed("look at", source))?.len();
    let there = length.saturating_sub(start) / size as u64;
    // Beyond the count it is an append that was not finished. A header that is damaged does not count.
    let count = if index.is_whole { u64::from(index.records).min(there) } else { there };
    if index.is_whole && there < u64::from(index.records) {
        report::damage(path, length, "the index has fewer records than its header says");
    }
    let mut records: Vec<Record> = Vec::new();
    let mut last = 0;
    let mut done = 0;
    while done < count {
        let some = usize::try_from(count - done).unwrap_or(RECORDS).min(RECORDS);
        let at = start + done * size as u64;
        let octets = read_some(file, at, some * size).map_err(|source| failed("read", source))?;
        for (place, octets) in octets.chunks_exact(size).enumerate() {
            let offset = at + (place * size) as u64;
            match Record::parse(index.version, octets) {
                None => report::damage(path, offset, "the checksum of a record is wrong"),
                Some(record) if record.uid <= last && order == Order::Ascending => {
                    report::damage(path, offset, "a record's UID is out of order");
                }
                Some(record) if index.is_whole && record.uid > index.last_uid => {
                    report::damage(path, offset, "a record's UID is above the last that was given out");
                }
                Some(record) => {
                    last = record.uid;
                    records.push(record);
                }
            }
        }
        if octets.len() < some * size {
            break;
        }
        done += some as u64;
    }
    Ok(records)
}

fn mod_seq(value: u64) -> ModSeq {
    ModSeq(value.min(ModSeq::MAX.0))
}

/// Octets from a place on, fewer where the file ends.
fn read_some(file: &File, at: u64, count: usize) -> io::Result<Vec<u8>> {
    // A file may end long before what is asked of it.
    let left = file.metadata()?.len().saturating_sub(at);
    let mut octets = vec![0; usize::try_from(left).map_or(count, |left| left.min(count))];
    let mut done = 0;
    while let Some(rest) = octets.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    octets.truncate(done);
    Ok(octets)
}

pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
