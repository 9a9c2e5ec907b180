//! The formats' rows in the table.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use paquebot_guard::Purpose;
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet, UidValidity};

use super::change;
use super::layout::{Base, DELIMITER, KEYWORD_BYTES, KEYWORDS, Shape};
use super::open::Mailbox;
use super::separator::Separator;
use crate::clock;
use crate::driver::{Abilities, Access, Children, Driver, Found, Owner, Root, Sessions};
use crate::error::{FormatError, failed};
use crate::lock::{Dot, FileGuard, Kind, NoGuard, Session, identity};
use crate::mailbox::{Arriving, Body, Changes, Expunged, Message, OpenMailbox, State};
use crate::names;
use crate::netfs;

/// A file is recognised by its begin: blank lines and a separator, within so many octets.
const BEGIN: u64 = 1023;

/// The driver of the traditional UNIX format.
#[derive(Debug)]
pub struct Mbox;

/// The driver of MMDF.
#[derive(Debug)]
pub struct Mmdf;

static ABILITIES: Abilities = Abilities {
    sessions: Sessions::One,
    children: Children::None,
    writes: true,
    keywords_max: KEYWORDS,
    keyword_bytes_max: KEYWORD_BYTES,
    keeps_zone: true,
    keeps_nul: false,
    keeps_octets: false,
    keeps_modseq: false,
};

/// What both are, but for what stands between messages.
trait OneFile: Send + Sync {
    const NAME: &'static str;
    const SHAPE: Shape;

    /// A file without octets is a mailbox too, of whichever format.
    fn is_mailbox(path: &Path) -> io::Result<bool> {
        let (begin, size) = begin(path)?;
        Ok(size == Some(0) || is_of(Self::SHAPE, &begin))
    }
}

impl OneFile for Mbox {
    const NAME: &'static str = "mbox";
    const SHAPE: Shape = Shape::Mbox;
}

impl OneFile for Mmdf {
    const NAME: &'static str = "mmdf";
    const SHAPE: Shape = Shape::Mmdf;
}

impl<F: OneFile> Driver for F {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn abilities(&self) -> &'static Abilities {
        &ABILITIES
    }

    fn recognises(&self, root: &Root) -> Result<bool, FormatError> {
        names::any_file(root, &|path| Ok(is_of(F::SHAPE, &begin(path)?.0)))
    }

    fn list(&self, root: &Root) -> Result<Vec<Found>, FormatError> {
        let mut found = names::list(root, &F::is_mailbox)?;
        let inbox = MailboxName::inbox();
        if is_absent_spool(root, &inbox)? && !found.iter().any(|found| found.selectable && found.name == inbox) {
            let subscribed = found.iter().any(|found| found.name == inbox && found.subscribed);
            found.retain(|found| found.name != inbox);
            found.push(Found { name: inbox, selectable: true, subscribed, special_use: None });
            found.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Ok(found)
    }

    fn open(&self, root: &Root, name: &MailboxName, access: Access) -> Result<Box<dyn OpenMailbox>, FormatError> {
        let is_spool = name.is_inbox() && root.inbox.is_some();
        let path = match is_absent_spool(root, name)? {
            true => names::path(root, name)?,
            false => names::existing(root, name, &F::is_mailbox)?,
        };
        if access == Access::Write {
            netfs::may_change(&path, Purpose::Spool)?;
            if is_spool {
                make_spool(root, &path)?;
            }
        }
        Ok(Box::new(Mailbox::open(F::SHAPE, &path, root.owner, access, is_spool)?))
    }

    fn create(&self, root: &Root, name: &MailboxName, validity: UidValidity) -> Result<(), FormatError> {
        let path = names::new_file(root, name)?;
        netfs::may_change(&path, Purpose::Spool)?;
        let text = change::empty(F::SHAPE, &Base { validity, uid_last: 0, keywords: Vec::new() });
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = made.map_err(|source| failed("make", &path, source))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|source| failed("write", &path, source))?;
        names::settle(root, &path)
    }

    fn delete(&self, root: &Root, name: &MailboxName) -> Result<(), FormatError> {
        let path = names::existing(root, name, &F::is_mailbox)?;
        alone(&path, root.owner, || names::remove(&path))
    }

    fn rename(&self, root: &Root, from: &MailboxName, to: &MailboxName) -> Result<(), FormatError> {
        names::rename(root, from, to, &F::is_mailbox, &|path, rename| alone(path, root.owner, rename))?;
        if from.is_inbox() {
            self.create(root, from, clock::validity())?;
        }
        Ok(())
    }

    fn subscribe(&self, root: &Root, name: &MailboxName, subscribed: bool) -> Result<(), FormatError> {
        names::subscribe(root, name, subscribed)
    }
}

/// Whether this is an INBOX to which nothing was delivered yet: then it has no file, and is empty.
fn is_absent_spool(root: &Root, name: &MailboxName) -> Result<bool, FormatError> {
    if !name.is_inbox() || root.inbox.is_none() {
        return Ok(false);
    }
    let path = names::path(root, name)?;
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => found.map(|_| false).map_err(|source| failed("look at", &path, source)),
    }
}

/// Makes the file of an INBOX that is to be changed, as a delivery agent would. Where only those may, it is empty and read only until one does.
fn make_spool(root: &Root, path: &Path) -> Result<(), FormatError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => names::settle(root, path),
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::PermissionDenied) => Ok(()),
        Err(source) => Err(failed("make", path, source)),
    }
}

/// Does what must not happen while anybody has the mailbox open, or delivers to it.
fn alone(path: &Path, owner: Option<Owner>, act: impl FnOnce() -> Result<(), FormatError>) -> Result<(), FormatError> {
    let metadata = std::fs::metadata(path).map_err(|source| failed("look at", path, source))?;
    let owner = owner.unwrap_or(Owner { user: metadata.uid(), group: metadata.gid() });
    let by = |by: String| FormatError::InUse { path: path.into(), by };
    let _session = Session::take_at_once(path, identity(&metadata), owner)?.map_err(by)?;
    let _guard = match FileGuard::take(path, Kind::Exclusive, Dot::Must, Some(owner)) {
        Ok(guard) => guard,
        Err(NoGuard::Failed(error)) => return Err(error),
        Err(NoGuard::NoDotLock(source)) => return Err(failed("lock", path, source)),
    };
    act()
}

/// The begin of a file, and how large it is, if it is one.
fn begin(path: &Path) -> io::Result<(Vec<u8>, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok((Vec::new(), None));
    }
    let mut begin = Vec::new();
    file.take(BEGIN).read_to_end(&mut begin)?;
    Ok((begin, Some(metadata.len())))
}

fn is_of(shape: Shape, begin: &[u8]) -> bool {
    if shape == Shape::Mmdf {
        return begin.starts_with(DELIMITER);
    }
    let line = begin.split_inclusive(|octet| *octet == b'\n').find(|line| !line.trim_ascii().is_empty());
    line.is_some_and(|line| Separator::parse(line, 0).is_some())
}

impl OpenMailbox for Mailbox {
    fn state(&self) -> &State {
        &self.state
    }

    fn messages(&self) -> &[Message] {
        Mailbox::messages(self)
    }

    fn refresh(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        self.look(expunged)
    }

    fn body(&mut self, uid: Uid) -> Result<Box<dyn Body>, FormatError> {
        Mailbox::body(self, uid)
    }

    fn store(&mut self, changes: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError> {
        self.change_flags(changes)
    }

    fn append(&mut self, messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        self.append_messages(messages)
    }

    fn expunge(&mut self, uids: &UidSet) -> Result<Changes, FormatError> {
        self.expunge_messages(uids)
    }

    fn watched(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn asked_to_give_up(&mut self) -> bool {
        self.is_asked()
    }

    fn take_over_signal(&self) -> Option<BorrowedFd<'_>> {
        self.signal()
    }

    fn give_up(&mut self) -> Result<(), FormatError> {
        Mailbox::give_up(self)
    }
}
