//! Which message has which UID: the list of Dovecot or that of Courier, as it was last read, and how it is changed.
//!
//! Dovecot's grows by lines at its end; Courier's is written anew, since its header counts. Both are read without a lock and changed under one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paquebot_types::{Uid, UidValidity};

use super::failed;
use super::files::Files;
use super::lock::DotLock;
use super::uidlist::{Header, Line, Version};
use super::unique;
use crate::error::FormatError;

/// Whose companion files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Dovecot,
    Courier,
}

impl Server {
    /// Where its list of UIDs is in a mailbox.
    pub fn list(self) -> &'static str {
        match self {
            Self::Dovecot => "dovecot-uidlist",
            Self::Courier => "courierimapuiddb",
        }
    }
}

/// The name of a message file without its info; it stands in several places.
pub type Unique = Arc<[u8]>;

#[derive(Debug)]
pub struct Listed {
    pub uid: Uid,
    /// As they stand in the line.
    pub extensions: Box<[u8]>,
    /// Whether it is in the file. Who only reads gives UIDs of his own to what nobody has listed yet.
    pub saved: bool,
}

/// What has become of a list since it was read last.
#[derive(Debug, PartialEq, Eq)]
pub enum Update {
    Same,
    /// There are lines more.
    More,
    /// It was read anew: anything may be different.
    Anew,
}

#[derive(Debug)]
pub struct Uids {
    pub server: Server,
    path: PathBuf,
    files: Files,
    /// `None`: there is no list, or one that says nothing.
    pub header: Option<Header>,
    pub by_name: HashMap<Unique, Listed>,
    /// The highest UID that was given out, whether or not it is in the file.
    last: u32,
    /// The highest UID of a line.
    last_line: u32,
    /// Whether UIDs were given out that are in no file.
    unsaved: bool,
    lines: usize,
    seen: Option<Seen>,
    /// The file wants to be written anew before anything is appended.
    damaged: bool,
}

/// The file as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    changed: (i64, i64),
    size: u64,
    inode: u64,
    /// Its first line, and where its last whole line ends, and the octets before: with these unchanged the rest is taken as unchanged.
    start: Vec<u8>,
    end: u64,
    tail: Vec<u8>,
}

const TAIL: u64 = 200;

impl Uids {
    pub fn new(server: Server, directory: &Path, files: Files) -> Self {
        Self {
            server,
            path: directory.join(server.list()),
            files,
            header: None,
            by_name: HashMap::new(),
            last: 0,
            last_line: 0,
            unsaved: false,
            lines: 0,
            seen: None,
            damaged: false,
        }
    }

    /// Above every UID that was given out; 2^32 when they are used up.
    pub fn next(&self) -> u64 {
        self.header.as_ref().map_or(1, |header| header.next).max(u64::from(self.last) + 1)
    }

    /// Takes the lock under which the list is changed.
    pub fn lock(&self) -> Result<DotLock, FormatError> {
        let Some(directory) = self.path.parent() else {
            return Err(self.failed("lock", io::ErrorKind::NotFound.into()));
        };
        match self.server {
            Server::Dovecot => DotLock::take(&directory.join("dovecot-uidlist.lock"), &self.path, directory),
            Server::Courier => {
                let tmp = directory.join("tmp");
                DotLock::take(&tmp.join("courier.lock"), &self.path, &tmp)
            }
        }
    }

    /// Looks whether others have changed the list.
    pub fn update(&mut self) -> Result<Update, FormatError> {
        let file = super::if_there(File::open(&self.path)).map_err(|source| self.failed("open", source))?;
        let Some(file) = file else {
            return Ok(match self.seen.take() {
                None => Update::Same,
                Some(_) => {
                    self.clear();
                    Update::Anew
                }
            });
        };
        let found = file.metadata().map_err(|source| self.failed("look at", source))?;
        if let Some(seen) = &mut self.seen {
            let changed = (found.mtime(), found.mtime_nsec());
            if (seen.changed, seen.size, seen.inode) == (changed, found.len(), found.ino()) {
                return Ok(Update::Same);
            }
            if seen.inode == found.ino() && found.len() >= seen.end && !self.damaged {
                let more = seen.more(&file, found.len()).map_err(|source| failed("read", &self.path, source))?;
                if let Some(more) = more {
                    (seen.changed, seen.size) = (changed, found.len());
                    if self.take_lines(&more, Reading::More) {
                        return Ok(Update::More);
                    }
                }
            }
        }
        self.read(&file, &found)?;
        Ok(Update::Anew)
    }

    fn clear(&mut self) {
        (self.header, self.seen, self.damaged, self.unsaved) = (None, None, false, false);
        (self.last, self.last_line, self.lines) = (0, 0, 0);
        self.by_name.clear();
    }

    fn read(&mut self, mut file: &File, found: &std::fs::Metadata) -> Result<(), FormatError> {
        let mut text = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        io::Read::read_to_end(&mut file, &mut text).map_err(|source| self.failed("read", source))?;
        self.clear();
        let start = memchr::memchr(b'\n', &text).map_or(0, |end| end + 1);
        self.header = Header::parse(text[..start].trim_ascii_end());
        self.seen = Some(Seen {
            changed: (found.mtime(), found.mtime_nsec()),
            size: text.len() as u64,
            inode: found.ino(),
            start: text[..start].to_vec(),
            end: start as u64,
            tail: Vec::new(),
        });
        if self.header.is_none() {
            tracing::error!(path = %self.path.display(), "the list of UIDs is damaged at byte 0: messages get UIDs anew, under another UIDVALIDITY");
            self.damaged = true;
            return Ok(());
        }
        self.take_lines(&text[start..], Reading::All);
        Ok(())
    }

    /// Takes whole lines; what follows the last is left to a later call. Gives false where the lines do not just add to what there is.
    fn take_lines(&mut self, text: &[u8], reading: Reading) -> bool {
        let (Some(header), Some(seen)) = (&self.header, &mut self.seen) else { return false };
        if self.unsaved {
            return false;
        }
        let whole = memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
        let mut at = seen.end;
        for line in text[..whole].split_inclusive(|octet| *octet == b'\n') {
            let offset = at;
            at += line.len() as u64;
            let trimmed = line.strip_suffix(b"\n").unwrap_or(line);
            let Some(line) = Line::parse(header.version, trimmed).filter(|line| line.uid.get() > self.last_line) else {
                if !self.damaged {
                    tracing::error!(path = %self.path.display(), offset, "a line of the list of UIDs is damaged, and passed over");
                }
                self.damaged = true;
                continue;
            };
            let listed = Listed { uid: line.uid, extensions: line.extensions.into(), saved: true };
            (self.last_line, self.lines) = (line.uid.get(), self.lines + 1);
            self.last = self.last.max(self.last_line);
            // Of a name that is listed twice the later UID holds.
            if let Some(before) = self.by_name.insert(line.name.into(), listed)
                && reading == Reading::More
                && before.uid != line.uid
            {
                return false;
            }
        }
        let kept = text[..whole].len().min(TAIL as usize);
        seen.tail = if whole >= TAIL as usize {
            text[whole - kept..whole].to_vec()
        } else {
            let both = [&seen.tail[..], &text[..whole]].concat();
            both[both.len().saturating_sub(TAIL as usize)..].to_vec()
        };
        seen.end = at;
        // The start of a line: somebody is writing it, or a crash has cut it off. In the latter case nothing may be appended to it.
        true
    }

    /// Gives the next UID to a name, in memory only.
    pub fn give(&mut self, name: &Unique, wanted: Option<Uid>) -> Option<Uid> {
        let next = self.next();
        let uid = wanted.filter(|uid| u64::from(uid.get()) >= next).or_else(|| Uid::new(u32::try_from(next).ok()?))?;
        (self.last, self.unsaved) = (uid.get(), true);
        self.by_name.insert(Arc::clone(name), Listed { uid, extensions: Box::default(), saved: false });
        Some(uid)
    }

    /// Takes back what [`Self::give`] gave, before it was saved. The UID stays used.
    pub fn forget(&mut self, name: &Unique) {
        self.by_name.remove(name);
    }

    /// Writes the UIDs that were given since. Whoever calls holds the lock, and has called [`Self::update`] under it. `is_live` tells whether a listed
    /// message is still there, `live` how many of them are.
    pub fn save(
        &mut self,
        _lock: &DotLock,
        new: &[(Uid, Unique)],
        is_live: &dyn Fn(Uid) -> bool,
        live: usize,
    ) -> Result<(), FormatError> {
        let whole = self.seen.as_ref().is_some_and(|seen| seen.end == seen.size) && !self.damaged;
        let is_current = self.header.as_ref().is_some_and(|header| header.version == Version::Three);
        let worn = live.saturating_mul(4) <= self.lines.saturating_mul(3) && self.lines > 64;
        if self.server == Server::Dovecot && whole && is_current && !worn {
            self.append_lines(new)?;
        } else {
            self.rewrite(is_live)?;
        }
        for (_, name) in new {
            if let Some(listed) = self.by_name.get_mut(name) {
                listed.saved = true;
            }
        }
        (self.last_line, self.unsaved) = (self.last, false);
        Ok(())
    }

    fn append_lines(&mut self, new: &[(Uid, Unique)]) -> Result<(), FormatError> {
        let mut text = Vec::with_capacity(new.len() * 60);
        for (uid, name) in new {
            let extensions = self.by_name.get(name).map_or(&[][..], |listed| &listed.extensions);
            Line { uid: *uid, extensions, name }.write(Version::Three, &mut text);
        }
        let write = || {
            let mut file = OpenOptions::new().append(true).open(&self.path)?;
            file.write_all(&text)?;
            file.sync_all()?;
            file.metadata()
        };
        let found = write().map_err(|source| self.failed("write", source))?;
        if let Some(seen) = &mut self.seen {
            seen.end += text.len() as u64;
            (seen.changed, seen.size, seen.inode) = ((found.mtime(), found.mtime_nsec()), found.len(), found.ino());
            seen.tail.extend_from_slice(&text);
            let cut = seen.tail.len().saturating_sub(TAIL as usize);
            seen.tail.drain(..cut);
        }
        self.lines += new.len();
        Ok(())
    }

    /// Writes the whole list, without the messages that are gone.
    pub fn rewrite(&mut self, is_live: &dyn Fn(Uid) -> bool) -> Result<(), FormatError> {
        let next = self.next();
        let Some(header) = &mut self.header else { return Ok(()) };
        header.next = next;
        if self.server == Server::Dovecot {
            header.version = Version::Three;
            if header.extension(b'G').is_none() {
                header.extensions.extend_from_slice(format!(" G{}", unique::guid()).as_bytes());
            }
        }
        self.by_name.retain(|_, listed| is_live(listed.uid));
        let mut sorted: Vec<(&Unique, &Listed)> = self.by_name.iter().collect();
        sorted.sort_unstable_by_key(|(_, listed)| listed.uid);
        let start = header.write();
        let mut text = Vec::with_capacity(start.len() + sorted.len() * 60);
        text.extend_from_slice(&start);
        for (name, listed) in &sorted {
            Line { uid: listed.uid, extensions: &listed.extensions, name }.write(header.version, &mut text);
        }
        let lines = sorted.len();
        let temporary = match self.server {
            Server::Dovecot => self.path.with_file_name("dovecot-uidlist.tmp"),
            Server::Courier => self.path.with_file_name("tmp").join(unique::name()),
        };
        if self.damaged {
            let _ = std::fs::copy(&self.path, self.path.with_extension("damaged"));
        }
        let found = self.files.replace(&self.path, &temporary, &text)?;
        self.seen = Some(Seen {
            changed: (found.mtime(), found.mtime_nsec()),
            size: text.len() as u64,
            inode: found.ino(),
            end: text.len() as u64,
            tail: text[start.len().max(text.len().saturating_sub(TAIL as usize))..].to_vec(),
            start,
        });
        (self.lines, self.damaged, self.unsaved) = (lines, false, false);
        self.last_line = self.last;
        self.by_name.values_mut().for_each(|listed| listed.saved = true);
        Ok(())
    }

    /// Begins a list: no UID was given out under this UIDVALIDITY.
    pub fn begin(&mut self, validity: UidValidity) {
        let version = match self.server {
            Server::Dovecot => Version::Three,
            Server::Courier => Version::One,
        };
        self.by_name.clear();
        (self.last, self.last_line, self.lines) = (0, 0, 0);
        self.header = Some(Header { version, validity, next: 1, extensions: Vec::new() });
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> FormatError {
        failed(doing, &self.path, source)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    All,
    More,
}

impl Seen {
    /// What was appended since; `None` if the file is another. Files that were replaced have another inode, but for one that was freed and used again.
    fn more(&self, file: &File, size: u64) -> io::Result<Option<Vec<u8>>> {
        let mut start = vec![0; self.start.len()];
        let from = self.end - self.tail.len() as u64;
        let mut rest = vec![0; usize::try_from(size.saturating_sub(from)).unwrap_or(0)];
        let read = file.read_exact_at(&mut start, 0).and_then(|()| file.read_exact_at(&mut rest, from));
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if start != self.start || !rest.starts_with(&self.tail) {
            return Ok(None);
        }
        Ok(Some(rest.split_off(self.tail.len())))
    }
}
