//! The format's row in the table.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use paquebot_guard::Purpose;
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet, UidValidity};

use super::layout::{self, Header};
use super::open::{self, Text};
use super::{change, layout as limits};
use crate::clock;
use crate::driver::{Abilities, Access, Children, Driver, Found, Root, Sessions};
use crate::error::{FormatError, failed};
use crate::lock::{Flock, Kind, LockFile};
use crate::mailbox::{Arriving, Body, Changes, Expunged, Message, OpenMailbox, State};
use crate::names;
use crate::netfs;

/// The driver of mbx.
#[derive(Debug)]
pub struct Mbx;

static ABILITIES: Abilities = Abilities {
    sessions: Sessions::Many,
    children: Children::None,
    writes: true,
    keywords_max: limits::KEYWORDS,
    keyword_bytes_max: limits::KEYWORD_BYTES,
    keeps_zone: true,
    keeps_nul: true,
    keeps_octets: true,
    keeps_modseq: false,
};

impl Driver for Mbx {
    fn name(&self) -> &'static str {
        "mbx"
    }

    fn abilities(&self) -> &'static Abilities {
        &ABILITIES
    }

    fn recognises(&self, root: &Root) -> Result<bool, FormatError> {
        names::any_file(root, &is_mbx)
    }

    fn list(&self, root: &Root) -> Result<Vec<Found>, FormatError> {
        names::list(root, &is_mbx)
    }

    fn open(&self, root: &Root, name: &MailboxName, access: Access) -> Result<Box<dyn OpenMailbox>, FormatError> {
        let path = names::existing(root, name, &is_mbx)?;
        if access == Access::Write {
            netfs::may_change(&path, Purpose::Sessions)?;
        }
        Ok(Box::new(open::Mbx::open(&path, access)?))
    }

    fn create(&self, root: &Root, name: &MailboxName, validity: UidValidity) -> Result<(), FormatError> {
        let path = names::new_file(root, name)?;
        netfs::may_change(&path, Purpose::Sessions)?;
        change::create(&path, &Header { validity, uid_last: 0, keywords: Vec::new(), updater: 0 })?;
        names::settle(root, &path)
    }

    fn delete(&self, root: &Root, name: &MailboxName) -> Result<(), FormatError> {
        let path = names::existing(root, name, &is_mbx)?;
        alone(&path, || names::remove(&path))
    }

    fn rename(&self, root: &Root, from: &MailboxName, to: &MailboxName) -> Result<(), FormatError> {
        names::rename(root, from, to, &is_mbx, &|path, rename| alone(path, rename))?;
        if from.is_inbox() {
            self.create(root, from, clock::validity())?;
        }
        Ok(())
    }

    fn subscribe(&self, root: &Root, name: &MailboxName, subscribed: bool) -> Result<(), FormatError> {
        names::subscribe(root, name, subscribed)
    }
}

/// Does what must not happen while anybody has the mailbox open.
fn alone(path: &Path, act: impl FnOnce() -> Result<(), FormatError>) -> Result<(), FormatError> {
    let file = File::open(path).map_err(|source| failed("open", path, source))?;
    let _guard = LockFile::take(&file)?;
    match Flock::attempt(&file, Kind::Exclusive) {
        Ok(true) => act(),
        Ok(false) => Err(FormatError::InUse { path: path.into(), by: "a session has it open".into() }),
        Err(source) => Err(failed("lock", path, source)),
    }
}

fn is_mbx(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::with_capacity(25);
    File::open(path)?.take(25).read_to_end(&mut start)?;
    Ok(layout::is_header(&start))
}

impl OpenMailbox for open::Mbx {
    fn state(&self) -> &State {
        &self.state
    }

    fn messages(&self) -> &[Message] {
        &self.messages
    }

    fn refresh(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        let changes = self.look(expunged)?;
        self.reclaim()?;
        Ok(changes)
    }

    fn body(&mut self, uid: Uid) -> Result<Box<dyn Body>, FormatError> {
        let index = self.index_of(uid).ok_or(FormatError::NoMessage(uid))?;
        let place = self.places[index];
        let file = self.file.try_clone().map_err(|source| self.failed("open", source))?;
        Ok(Box::new(Text { file, text: place.text, size: place.size, _reading: Arc::clone(&self.readers) }))
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
}
