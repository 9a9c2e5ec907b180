//! Reading a mix mailbox, and keeping up with it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use paquebot_types::{ModSeq, Uid};

use super::layout::{self, Entry, META_BYTES_MAX, Meta, OLD, Status};
use crate::clock;
use crate::driver::Access;
use crate::error::{FormatError, failed};
use crate::lock::{Flock, Kind};
use crate::mailbox::{Body, Changes, Expunged, Message, State};

/// An open mix mailbox.
pub struct Mix {
    pub(super) directory: PathBuf,
    /// Locked, shared, for as long as the mailbox is open.
    pub(super) meta_file: File,
    pub(super) meta: Meta,
    pub(super) state: State,
    pub(super) messages: Vec<Message>,
    /// Of each message.
    pub(super) places: Vec<Place>,
    /// Expunged by others, and still in `messages`.
    pub(super) ghosts: bool,
    /// Data files may hold what no message needs.
    pub(super) holes: bool,
    /// The sequences of the index and the status as we read them; 0: never.
    pub(super) index_sequence: u32,
    pub(super) status_sequence: u32,
    /// How long the index and the status were then. c-client's append can leave the sequence as it was, when an expunge or a change of flags has taken
    /// that ahead of the meta file's: the new line shows in the length alone.
    pub(super) index_bytes: u64,
    pub(super) status_bytes: u64,
    /// Where the lines of the index and the status end: space that was reserved may follow.
    pub(super) index_end: u64,
    pub(super) status_end: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub entry: Entry,
    pub status: Status,
    /// Of its line in the status file.
    pub line: Option<u64>,
    /// Others have expunged it.
    pub gone: bool,
}

/// The index and the status, locked: in this order, after the meta file.
pub(super) struct Locked {
    pub index: File,
    pub status: File,
}

impl Mix {
    pub fn open(directory: &Path, access: Access) -> Result<Self, FormatError> {
        let path = directory.join(".mixmeta");
        let (meta_file, read_only) = match OpenOptions::new().read(true).write(access == Access::Write).open(&path) {
            Ok(file) => (file, (access == Access::Read).then(|| "it is open for reading".to_owned())),
            Err(error) if access == Access::Write && is_refused(&error) => {
                let file = File::open(&path).map_err(|source| failed("open", &path, source))?;
                (file, Some(format!("its files cannot be written: {error}")))
            }
            Err(source) => return Err(failed("open", &path, source)),
        };
        Flock::take(&meta_file, Kind::Shared, &path)?;
        let meta = read_meta(&meta_file, &path)?;
        let mut mailbox = Self {
            directory: directory.into(),
            meta_file,
            state: State {
                uid_validity: meta.validity,
                uid_next: None,
                keywords: Vec::new(),
                highest_modseq: None,
                read_only,
            },
            meta,
            messages: Vec::new(),
            places: Vec::new(),
            ghosts: false,
            // Whether there are holes is found out once.
            holes: true,
            index_sequence: 0,
            status_sequence: 0,
            index_bytes: 0,
            status_bytes: 0,
            index_end: 0,
            status_end: 0,
        };
        let locked = mailbox.lock(mailbox.usual())?;
        mailbox.recover(&locked)?;
        mailbox.look_locked(&locked, Expunged::Leave)?;
        Ok(mailbox)
    }

    pub(super) fn look(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        let locked = self.lock(self.usual())?;
        self.look_locked(&locked, expunged)
    }

    fn usual(&self) -> (Kind, Kind) {
        match self.writes() {
            true => (Kind::Exclusive, Kind::Exclusive),
            false => (Kind::Shared, Kind::Shared),
        }
    }

    /// Opens and locks the index and the status, in this order.
    pub(super) fn lock(&self, kinds: (Kind, Kind)) -> Result<Locked, FormatError> {
        let open = |name: &str, kind| {
            let path = self.path(name);
            let opened =
                OpenOptions::new().read(true).write(self.writes()).create(self.writes()).truncate(false).open(&path);
            let file = opened.map_err(|source| failed("open", &path, source))?;
            Flock::take(&file, kind, &path)?;
            Ok::<_, FormatError>(file)
        };
        Ok(Locked { index: open(".mixindex", kinds.0)?, status: open(".mixstatus", kinds.1)? })
    }

    /// Looks what others did, with the files locked.
    pub(super) fn look_locked(&mut self, locked: &Locked, expunged: Expunged) -> Result<Changes, FormatError> {
        let mut changes = Changes::default();
        let meta = read_meta(&self.meta_file, &self.path(".mixmeta"))?;
        if meta.validity != self.meta.validity {
            return Err(self.damaged(".mixmeta", 0, "UIDVALIDITY has changed while it was open"));
        }
        if meta.sequence < self.meta.sequence || meta.uid_last < self.meta.uid_last {
            return Err(self.damaged(".mixmeta", 0, "its numbers have gone back while it was open"));
        }
        self.meta = meta;
        self.state.keywords = self.meta.keywords.clone();
        self.read_index(&locked.index, &mut changes)?;
        self.read_status(locked, &mut changes)?;
        if expunged == Expunged::Leave {
            self.drop_gone(&mut changes);
        }
        self.state.uid_next = self.meta.uid_last.checked_add(1).and_then(Uid::new);
        Ok(changes)
    }

    fn read_index(&mut self, file: &File, changes: &mut Changes) -> Result<(), FormatError> {
        let sequence = first_sequence(file).map_err(|source| self.failed("read", ".mixindex", source))?;
        let Some(sequence) = sequence else {
            return Err(self.damaged(".mixindex", 0, "it does not begin with a sequence"));
        };
        let bytes = file.metadata().map_err(|source| self.failed("look at", ".mixindex", source))?.len();
        if (sequence, bytes) == (self.index_sequence, self.index_bytes) {
            return Ok(());
        }
        if sequence < self.index_sequence && sequence != 1 {
            return Err(self.damaged(".mixindex", 0, "its sequence has gone back while it was open"));
        }
        let text = read_all(file).map_err(|source| self.failed("read", ".mixindex", source))?;
        self.index_end = end_of_lines(&text);
        let (mut known, mut last) = (0, 0);
        let mut arrived = Vec::new();
        for (offset, line) in lines(&text) {
            let entry = Entry::parse(line).filter(|entry| entry.uid > last);
            let Some(entry) = entry else {
                // What is before is served. Nothing is written: c-client refuses such a mailbox.
                tracing::error!(path = %self.path(".mixindex").display(), offset, "the index is damaged: what is before is served, and not written to");
                self.state.read_only = Some(format!("its index is damaged at byte {offset}"));
                break;
            };
            last = entry.uid;
            while let Some(place) = self.places.get_mut(known).filter(|place| place.entry.uid < entry.uid) {
                place.gone = true;
                self.ghosts = true;
                known += 1;
            }
            match self.places.get_mut(known).filter(|place| place.entry.uid == entry.uid) {
                Some(place) => {
                    let moved = Entry { position: entry.position, data: entry.data, ..place.entry };
                    if moved != entry {
                        return Err(self.damaged(".mixindex", offset, "a message has changed under us"));
                    }
                    place.entry = entry;
                    known += 1;
                }
                None => {
                    arrived.extend(Uid::new(entry.uid));
                    self.add(entry);
                    known += 1;
                }
            }
        }
        for place in self.places.iter_mut().skip(known) {
            place.gone = true;
            self.ghosts = true;
        }
        changes.arrived = arrived.into_iter().collect();
        self.meta.uid_last = self.meta.uid_last.max(last);
        (self.index_sequence, self.index_bytes) = (sequence, bytes);
        // New messages want their status, whether or not that says that it has changed.
        self.status_sequence = 0;
        Ok(())
    }

    fn add(&mut self, entry: Entry) {
        let Some(uid) = Uid::new(entry.uid) else { return };
        let status = Status { uid: entry.uid, keywords: 0, flags: 0, modseq: 0 };
        self.places.push(Place { entry, status, line: None, gone: false });
        self.messages.push(Message {
            uid,
            flags: status.system_flags(),
            keywords: 0,
            recent: true,
            internal_date: entry.internal_date,
            size: Some(entry.size.into()),
            modseq: None,
        });
    }

    fn read_status(&mut self, locked: &Locked, changes: &mut Changes) -> Result<(), FormatError> {
        let file = &locked.status;
        let sequence = first_sequence(file).map_err(|source| self.failed("read", ".mixstatus", source))?;
        let bytes = file.metadata().map_err(|source| self.failed("look at", ".mixstatus", source))?.len();
        if sequence.is_some_and(|sequence| (sequence, bytes) == (self.status_sequence, self.status_bytes)) {
            return Ok(());
        }
        let text = read_all(file).map_err(|source| self.failed("read", ".mixstatus", source))?;
        self.status_end = end_of_lines(&text);
        let mut found = HashMap::new();
        let mut damaged = sequence.is_none();
        if damaged {
            tracing::warn!(path = %self.path(".mixstatus").display(), "the flags are damaged, and begin anew");
        }
        for (offset, line) in lines(&text) {
            match Status::parse(line).filter(|_| !damaged) {
                Some(status) => _ = found.insert(status.uid, (status, offset)),
                None => {
                    tracing::warn!(path = %self.path(".mixstatus").display(), offset, "the flags are damaged from here on");
                    damaged = true;
                    break;
                }
            }
        }
        let mut flags = Vec::new();
        let mut told = Vec::new();
        let named = self.state.named();
        for (index, (place, message)) in self.places.iter_mut().zip(&mut self.messages).enumerate() {
            let is_new = changes.arrived.contains(message.uid);
            if let Some((status, line)) = found.get(&place.entry.uid) {
                place.line = Some(*line);
                let shown = (status.system_flags(), u128::from(status.keywords) & named);
                let differs = shown != (message.flags, message.keywords);
                place.status = *status;
                (message.flags, message.keywords) = shown;
                if is_new {
                    message.recent = status.flags & OLD == 0;
                } else if differs {
                    flags.push(message.uid);
                }
            }
            if place.status.flags & OLD == 0 {
                told.push(index);
            }
            message.modseq = Some(ModSeq(place.status.modseq.into()));
        }
        changes.flags = flags.into_iter().collect();
        (self.status_sequence, self.status_bytes) = (sequence.unwrap_or(1), bytes);
        if self.writes() && (damaged || !told.is_empty()) {
            let next = self.next_sequence();
            for &index in &told {
                let status = &mut self.places[index].status;
                (status.flags, status.modseq) = (status.flags | OLD, next);
            }
            if damaged {
                let (bad, path) = (self.path(".mixstatus.bad"), self.path(".mixstatus"));
                std::fs::copy(&path, &bad).map_err(|source| failed("copy", &path, source))?;
            }
            self.write_status(&locked.status, next, &told)?;
        }
        Ok(())
    }

    pub(super) fn drop_gone(&mut self, changes: &mut Changes) {
        if !std::mem::take(&mut self.ghosts) {
            return;
        }
        self.holes = true;
        let gone = self.places.iter().filter(|place| place.gone).filter_map(|place| Uid::new(place.entry.uid));
        changes.expunged = gone.collect();
        let mut keep = self.places.iter().map(|place| !place.gone);
        self.messages.retain(|_| keep.next().unwrap_or(false));
        self.places.retain(|place| !place.gone);
        for set in [&mut changes.flags, &mut changes.arrived] {
            *set = set.iter().filter(|uid| !changes.expunged.contains(*uid)).collect();
        }
    }

    pub(super) fn text(&self, uid: Uid) -> Result<Text, FormatError> {
        let index = self.messages.binary_search_by_key(&uid, |message| message.uid);
        let entry = self.places[index.map_err(|_| FormatError::NoMessage(uid))?].entry;
        let name = data_name(entry.data);
        let file = File::open(self.path(&name)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => self.damaged(&name, entry.position.into(), "the file of a message is missing"),
            _ => self.failed("open", &name, source),
        })?;
        let mut line = vec![0; entry.line.min(1024) as usize];
        let read = file.read_exact_at(&mut line, entry.position.into());
        let ends = file.metadata().is_ok_and(|metadata| metadata.len() >= entry.end());
        if read.is_err() || !ends || !entry.is_record(line.trim_ascii_end()) {
            return Err(self.damaged(&name, entry.position.into(), "there is another message, or none"));
        }
        Ok(Text { file, text: entry.text(), size: entry.size.into() })
    }

    pub(super) fn writes(&self) -> bool {
        self.state.read_only.is_none()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Above all sequences that there are.
    pub(super) fn next_sequence(&self) -> u32 {
        let now = clock::seconds();
        let last = self.meta.sequence.max(self.index_sequence).max(self.status_sequence);
        layout::next_sequence(last, now)
    }

    pub(super) fn failed(&self, doing: &'static str, name: &str, source: io::Error) -> FormatError {
        failed(doing, &self.path(name), source)
    }

    pub(super) fn damaged(&self, name: &str, offset: u64, what: &str) -> FormatError {
        FormatError::Damaged { path: self.path(name), offset, what: what.into() }
    }
}

/// A message's octets in its data file. Other programs move them only while they are alone, and ours go on in the file as it was.
pub struct Text {
    file: File,
    text: u64,
    size: u64,
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

/// `.mix6b05e955`; number 0 has none.
pub(super) fn data_name(number: u32) -> String {
    if number == 0 { ".mix".into() } else { format!(".mix{number:08x}") }
}

/// The number of a data file's name.
pub(super) fn data_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(".mix")?;
    if digits.is_empty() {
        return Some(0);
    }
    let all = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| all)
}

fn read_meta(file: &File, path: &Path) -> Result<Meta, FormatError> {
    let mut text = Vec::new();
    let mut reader = io::BufReader::new(Positioned { file, at: 0 }).take(META_BYTES_MAX);
    reader.read_to_end(&mut text).map_err(|source| failed("read", path, source))?;
    let what = || "it does not say what mix needs".to_owned();
    Meta::parse(&text).ok_or_else(|| FormatError::Damaged { path: path.into(), offset: 0, what: what() })
}

/// The sequence at the start of an index or a status; an empty one has 1, a damaged one none.
fn first_sequence(file: &File) -> io::Result<Option<u32>> {
    let mut line = [0; 9];
    match file.read_exact_at(&mut line, 0) {
        Ok(()) => Ok(layout::sequence(&line)),
        Err(_) if file.metadata()?.len() == 0 => Ok(Some(1)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
    Positioned { file, at: 0 }.read_to_end(&mut text)?;
    Ok(text)
}

/// The lines after the first, with their places. NULs after the last are space that was reserved.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut at = 0;
    let text = &text[..end_of_lines(text) as usize];
    let whole = text.split_inclusive(|octet| *octet == b'\n').map(move |line| {
        let offset = at;
        at += line.len() as u64;
        (offset, line.trim_ascii_end())
    });
    whole.skip(1)
}

/// Where the last whole line ends.
fn end_of_lines(text: &[u8]) -> u64 {
    text.iter().rposition(|octet| *octet == b'\n').map_or(0, |last| last as u64 + 1)
}

struct Positioned<'f> {
    file: &'f File,
    at: u64,
}

impl io::Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
