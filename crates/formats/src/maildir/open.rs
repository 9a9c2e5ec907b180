//! An open maildir, and what is known of it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use paquebot_types::{Flags, InternalDate, Keyword, Uid, UidValidity};
use rustix::fs::{AtFlags, statat};

use super::body::Text;
use super::courier::Courier;
use super::files::Files;
use super::folders::Tree;
use super::keywords::Letters;
use super::layout::{self, LETTERS, Sizes};
use super::quota::Quota;
use super::scan::{Spot, Stamps};
use super::uidlist::Line;
use super::uids::{Server, Uids, Unique};
use super::watch::{Place, Watch};
use super::{failed, is_absent, unique};
use crate::driver::Access;
use crate::error::FormatError;
use crate::mailbox::{Changes, Expunged, Message, State};

/// Keywords that messages can be told to have, at most: the bits of [`Message::keywords`].
const KEYWORDS: usize = 128;
/// A file that was renamed under us is looked for again, so often.
pub(super) const ATTEMPTS: usize = 5;

/// An open maildir.
pub struct Mailbox {
    pub(super) directory: PathBuf,
    pub(super) new: PathBuf,
    pub(super) cur: PathBuf,
    pub(super) top: PathBuf,
    pub(super) files: Files,
    /// `None` where messages do not count.
    pub(super) quota: Option<Quota>,
    pub(super) state: State,
    pub(super) messages: Vec<Message>,
    /// Of each message.
    pub(super) entries: Vec<Entry>,
    pub(super) uids: Uids,
    pub(super) known: Known,
    pub(super) watch: Option<Watch>,
    /// When the directories had changed last as they were listed; `None`: they have to be listed again. Without a watch only.
    pub(super) stamps: Option<Stamps>,
    /// Found, and not among the messages yet.
    pub(super) waiting: HashMap<Unique, Spot>,
    /// Some messages are gone, and still shown.
    pub(super) ghosts: bool,
    /// What was noticed in calls that could not tell.
    pub(super) pending: Changes,
}

/// A message's file.
#[derive(Debug)]
pub(super) struct Entry {
    pub unique: Unique,
    pub spot: Spot,
    pub disk_bytes: u64,
    /// Others have expunged it.
    pub gone: bool,
}

/// What is known of keywords.
pub(super) enum Known {
    Dovecot(Box<Lettered>),
    Courier(Box<Gathered>),
}

/// Courier's keywords.
pub(super) struct Gathered {
    pub files: Courier,
    pub sets: HashMap<Unique, u128>,
    /// When their directory had changed last as it was read.
    pub changed: Option<(i64, i64)>,
    /// Whether events tell of it.
    pub watched: bool,
}

/// Keywords as letters, and those that only Dovecot's index has.
#[derive(Default)]
pub(super) struct Lettered {
    pub letters: Letters,
    /// The bit of each letter that stands for something.
    pub bits: [Option<u32>; LETTERS],
    pub further: HashMap<Uid, u128>,
    pub changed: Option<Changed>,
    pub index_changed: [Option<Changed>; 2],
}

/// Time, size and inode of a file.
pub(super) type Changed = (i64, i64, u64, u64);

impl Mailbox {
    pub fn open(tree: &Tree, directory: &Path, files: Files, access: Access) -> Result<Self, FormatError> {
        let (new, cur) = (directory.join("new"), directory.join("cur"));
        let read_only = match access {
            Access::Read => Some("it is open for reading".to_owned()),
            Access::Write => refused(directory, &new, &cur),
        };
        let server = server(tree, directory, read_only.is_none())?;
        let known = match server {
            Server::Dovecot => Known::Dovecot(Box::default()),
            Server::Courier => {
                let files = Courier::new(directory, files);
                Known::Courier(Box::new(Gathered { files, sets: HashMap::new(), changed: None, watched: false }))
            }
        };
        let counts = directory.file_name().is_none_or(|name| name.as_bytes() != b".Trash");
        let mut mailbox = Self {
            directory: directory.into(),
            top: tree.top.clone(),
            files,
            quota: counts.then(|| Quota::new(&tree.top, files)),
            state: State {
                // Until the list is read.
                uid_validity: UidValidity::MIN,
                uid_next: None,
                keywords: Vec::new(),
                highest_modseq: None,
                read_only,
            },
            messages: Vec::new(),
            entries: Vec::new(),
            uids: Uids::new(server, directory, files),
            known,
            watch: None,
            stamps: None,
            waiting: HashMap::new(),
            ghosts: false,
            pending: Changes::default(),
            new,
            cur,
        };
        if mailbox.writes() {
            if let Known::Courier(courier) = &mailbox.known {
                // So that it can be watched.
                let path = &courier.files.directory;
                files.make_directory(path).map_err(|source| failed("make", path, source))?;
            }
            mailbox.files.make_directory(&directory.join("tmp")).map_err(|source| failed("make", directory, source))?;
            mailbox.remove_left_behind();
        }
        mailbox.look(Expunged::Leave)?;
        if mailbox.writes() {
            mailbox.gather_keywords()?;
        }
        Ok(mailbox)
    }

    pub(super) fn writes(&self) -> bool {
        self.state.read_only.is_none()
    }

    pub(super) fn must_write(&self) -> Result<(), FormatError> {
        self.state.read_only.as_ref().map_or(Ok(()), |why| Err(FormatError::ReadOnly(why.clone())))
    }

    /// The place of a message; `None` if there is none of this UID.
    pub(super) fn index_of(&self, uid: Uid) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }

    pub(super) fn directory_of(&self, place: Place) -> &Path {
        if place == Place::New { &self.new } else { &self.cur }
    }

    pub(super) fn path_of(&self, unique: &[u8], spot: &Spot) -> PathBuf {
        let name = [unique, &spot.info].concat();
        self.directory_of(spot.place).join(std::ffi::OsStr::from_bytes(&name))
    }

    pub(super) fn path(&self, index: usize) -> PathBuf {
        let entry = &self.entries[index];
        self.path_of(&entry.unique, &entry.spot)
    }

    /// The bit of a keyword, a new one if need be; `None` when all are taken.
    pub(super) fn bit(keywords: &mut Vec<Keyword>, keyword: &Keyword) -> Option<u32> {
        let at = keywords.iter().position(|known| known == keyword).or_else(|| {
            (keywords.len() < KEYWORDS).then(|| {
                keywords.push(keyword.clone());
                keywords.len() - 1
            })
        });
        at.and_then(|at| u32::try_from(at).ok())
    }

    /// The flags and keywords that a message has by its file.
    pub(super) fn marks(&self, uid: Uid, unique: &Unique, spot: &Spot) -> (Flags, u128) {
        let keywords = match &self.known {
            Known::Courier(courier) => courier.sets.get(unique).copied().unwrap_or(0),
            Known::Dovecot(lettered) => {
                let set = layout::keyword_letters(&spot.info);
                let bits = lettered.bits.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
                let named = bits.filter_map(|(_, bit)| *bit).fold(0, |bits, bit| bits | 1 << bit);
                named | lettered.further.get(&uid).copied().unwrap_or(0)
            }
        };
        (layout::flags(&spot.info), keywords)
    }

    /// What a message's file tells of it. `directory` is where it lies, open. `None` if it is not there any more.
    pub(super) fn stat(&self, directory: &File, uid: Uid, unique: Unique, spot: Spot) -> Option<(Message, Entry)> {
        let name = [&unique[..], &spot.info].concat();
        let found = match statat(directory, std::ffi::OsStr::from_bytes(&name), AtFlags::empty()) {
            Ok(found) => Some(found),
            Err(rustix::io::Errno::NOENT) => return None,
            Err(error) => {
                tracing::warn!(path = %self.path_of(&unique, &spot).display(), %error, "a message cannot be looked at");
                None
            }
        };
        let seconds =
            found.as_ref().map_or_else(|| i64::try_from(layout::seconds(&unique)).unwrap_or(0), |f| f.st_mtime);
        let disk_bytes = found.and_then(|found| u64::try_from(found.st_size).ok()).unwrap_or(0);
        let (flags, keywords) = self.marks(uid, &unique, &spot);
        let message = Message {
            uid,
            flags,
            keywords,
            recent: spot.place == Place::New,
            internal_date: InternalDate::utc(seconds),
            size: self.sizes(&unique).trusted(disk_bytes).or_else(|| (disk_bytes == 0 && found.is_some()).then_some(0)),
            modseq: None,
        };
        Some((message, Entry { unique, spot, disk_bytes, gone: false }))
    }

    /// By the name, and by the list where the name does not say.
    fn sizes(&self, unique: &Unique) -> Sizes {
        let mut sizes = Sizes::of(unique);
        if sizes.shown.is_none()
            && let Some(listed) = self.uids.by_name.get(unique)
        {
            let said = |letter| Line::extension(&listed.extensions, letter).and_then(layout::number);
            sizes.shown = said(b'W');
            sizes.disk = sizes.disk.or_else(|| said(b'S'));
        }
        sizes
    }

    pub(super) fn text(&mut self, uid: Uid) -> Result<Text, FormatError> {
        for _ in 0..ATTEMPTS {
            let index = self.index_of(uid).filter(|index| !self.entries[*index].gone);
            let index = index.ok_or(FormatError::NoMessage(uid))?;
            let path = self.path(index);
            let text = match File::open(&path).and_then(Text::new) {
                Err(error) if is_absent(&error) => {
                    self.look_again()?;
                    continue;
                }
                text => text.map_err(|source| failed("read", &path, source))?,
            };
            let message = &mut self.messages[index];
            let shown = crate::mailbox::Body::len(&text);
            if message.size.is_some_and(|said| said != shown) {
                tracing::warn!(path = %path.display(), shown, "the size in a message's name is wrong");
            }
            message.size = Some(shown);
            return Ok(text);
        }
        Err(FormatError::InUse { path: self.cur.clone(), by: "the message is renamed all the time".into() })
    }

    /// Looks for a file that was not where it was expected; what is noticed is told at the next call that can.
    pub(super) fn look_again(&mut self) -> Result<(), FormatError> {
        self.stamps = None;
        let changes = self.look(Expunged::Stay)?;
        self.put_off(changes);
        Ok(())
    }

    /// Keeps changes for the next call that can tell them.
    pub(super) fn put_off(&mut self, changes: Changes) {
        let pending = &mut self.pending;
        pending.expunged = pending.expunged.union(&changes.expunged);
        pending.flags = pending.flags.union(&changes.flags);
        pending.arrived = pending.arrived.union(&changes.arrived);
        pending.all |= changes.all;
    }

    /// Deliveries that were never finished, of 36 hours ago.
    fn remove_left_behind(&self) {
        const OLD: u64 = 36 * 60 * 60;
        let Ok(entries) = std::fs::read_dir(self.directory.join("tmp")) else { return };
        for entry in entries.filter_map(Result::ok) {
            let Ok(found) = entry.metadata() else { continue };
            let age = |time: std::io::Result<std::time::SystemTime>| {
                time.ok().and_then(|time| time.elapsed().ok()).is_some_and(|age| age.as_secs() > OLD)
            };
            if found.is_file() && age(found.modified()) && age(found.accessed()) && age(created(&found)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// When the inode changed last: an old date may have been given to a file that is just being made.
fn created(found: &std::fs::Metadata) -> std::io::Result<std::time::SystemTime> {
    let seconds = u64::try_from(found.ctime()).unwrap_or(0);
    Ok(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

/// Why nothing can be written here; `None` if it can.
fn refused(directory: &Path, new: &Path, cur: &Path) -> Option<String> {
    let right = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let refused = [directory, new, cur].into_iter().find_map(|path| {
        let denied = rustix::fs::access(path, right).err()?;
        (denied != rustix::io::Errno::NOENT).then_some((path, denied))
    });
    refused.map(|(path, error)| format!("{} cannot be written: {error}", path.display()))
}

/// Whose companion files a mailbox has: of both the newer one's.
fn server(tree: &Tree, directory: &Path, writes: bool) -> Result<Server, FormatError> {
    let changed = |server: Server| {
        let path = directory.join(server.list());
        let found = super::if_there(std::fs::metadata(&path)).map_err(|source| failed("look at", &path, source))?;
        Ok::<_, FormatError>(found.map(|found| (found.mtime(), found.mtime_nsec())))
    };
    Ok(match (changed(Server::Dovecot)?, changed(Server::Courier)?) {
        (Some(dovecot), Some(courier)) => {
            let server = if courier > dovecot { Server::Courier } else { Server::Dovecot };
            if writes {
                let list = server.list();
                tracing::warn!(path = %directory.display(), list, "both Dovecot and Courier have served this: the newer list is kept, the other gets old");
            }
            server
        }
        (Some(_), None) => Server::Dovecot,
        (None, Some(_)) => Server::Courier,
        (None, None) => tree.server,
    })
}

/// The file's time, size and inode; `None` if there is none.
pub(super) fn changed(path: &Path) -> Result<Option<Changed>, FormatError> {
    let found = super::if_there(std::fs::metadata(path)).map_err(|source| failed("look at", path, source))?;
    Ok(found.map(|found| (found.mtime(), found.mtime_nsec(), found.len(), found.ino())))
}

/// A new name for a file whose name another has.
pub(super) fn fresh(disk_bytes: u64) -> Unique {
    format!("{},S={disk_bytes}", unique::name()).into_bytes().into()
}
