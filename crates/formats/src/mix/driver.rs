//! The format's row in the table.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use paquebot_guard::Purpose;
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet, UidValidity};

use super::layout::{self, Meta};
use super::open;
use crate::clock;
use crate::driver::{Abilities, Access, Children, Driver, Found, Root, Sessions};
use crate::error::{FormatError, failed};
use crate::lock::{Flock, Kind};
use crate::mailbox::{Arriving, Body, Changes, Expunged, Message, OpenMailbox, State};
use crate::names;
use crate::netfs;

/// The driver of mix.
#[derive(Debug)]
pub struct Mix;

static ABILITIES: Abilities = Abilities {
    sessions: Sessions::Many,
    children: Children::Any,
    writes: true,
    keywords_max: layout::KEYWORDS,
    keyword_bytes_max: layout::KEYWORD_BYTES,
    keeps_zone: true,
    keeps_nul: true,
    keeps_octets: true,
    // Of seconds, and shared by whatever changes in one: too coarse for CONDSTORE.
    keeps_modseq: false,
};

impl Driver for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn abilities(&self) -> &'static Abilities {
        &ABILITIES
    }

    fn recognises(&self, root: &Root) -> Result<bool, FormatError> {
        names::any_file(root, &is_mix)
    }

    fn list(&self, root: &Root) -> Result<Vec<Found>, FormatError> {
        names::list(root, &is_mix)
    }

    fn open(&self, root: &Root, name: &MailboxName, access: Access) -> Result<Box<dyn OpenMailbox>, FormatError> {
        let path = names::existing(root, name, &is_mix)?;
        if access == Access::Write {
            netfs::may_change(&path, Purpose::Sessions)?;
        }
        Ok(Box::new(open::Mix::open(&path, access)?))
    }

    fn create(&self, root: &Root, name: &MailboxName, validity: UidValidity) -> Result<(), FormatError> {
        let path = names::path(root, name)?;
        netfs::may_change(&path, Purpose::Sessions)?;
        if is_mix(&path).unwrap_or(false) {
            return Err(FormatError::Exists(name.clone()));
        }
        match std::fs::create_dir_all(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) => {
                return Err(FormatError::CannotHold(format!("{name}: there is a file where the mailbox would be")));
            }
            made => made.map_err(|source| failed("make", &path, source))?,
        }
        names::settle(root, &path)?;
        // The number of the data file is a time, as c-client has it, and so never the last UID: c-client does not see a number that is the same.
        let now = clock::seconds_32();
        let meta = Meta { sequence: now, validity, uid_last: 0, data: now, keywords: Vec::new() };
        // The meta file comes last: with it the directory is a mailbox. The data file is there from the beginning: c-client would make it without
        // permissions for anybody.
        let data = open::data_name(meta.data);
        let files = [(&*data, String::new()), (".mixindex", String::new()), (".mixstatus", String::new())];
        for (file, text) in files.into_iter().chain([(".mixmeta", meta.write())]) {
            let file = path.join(file);
            let make = || {
                let mut made = OpenOptions::new().write(true).create(true).truncate(true).open(&file)?;
                made.write_all(text.as_bytes())?;
                made.sync_all()
            };
            make().map_err(|source| failed("make", &file, source))?;
            names::settle(root, &file)?;
        }
        Ok(())
    }

    fn delete(&self, root: &Root, name: &MailboxName) -> Result<(), FormatError> {
        let path = names::existing(root, name, &is_mix)?;
        alone(&path, || {
            // Without it the directory is no mailbox, whatever a crash leaves of the rest.
            names::remove(&path.join(".mixmeta"))?;
            for file in own_files(&path)? {
                names::remove(&file)?;
            }
            match std::fs::remove_dir(&path) {
                // Its inferiors stay.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed.map_err(|source| failed("remove", &path, source)),
            }
        })
    }

    fn rename(&self, root: &Root, from: &MailboxName, to: &MailboxName) -> Result<(), FormatError> {
        if !from.is_inbox() {
            return names::rename(root, from, to, &is_mix, &|path, rename| alone(path, rename));
        }
        let path = names::existing(root, from, &is_mix)?;
        let target = names::new_file(root, to)?;
        let validity = alone(&path, || {
            std::fs::create_dir(&target).map_err(|source| failed("make", &target, source))?;
            names::settle(root, &target)?;
            // The meta file goes last: until then the messages are INBOX's.
            let mut files = own_files(&path)?;
            files.sort_by_key(|file| file.ends_with(".mixmeta"));
            for file in files {
                let Some(name) = file.file_name() else { continue };
                std::fs::rename(&file, target.join(name)).map_err(|source| failed("rename", &file, source))?;
            }
            names::sync_directory(&target.join(".mixmeta"))?;
            Ok(clock::validity())
        })?;
        self.create(root, from, validity)
    }

    fn subscribe(&self, root: &Root, name: &MailboxName, subscribed: bool) -> Result<(), FormatError> {
        names::subscribe(root, name, subscribed)
    }
}

/// Does what must not happen while anybody has the mailbox open.
fn alone<T>(path: &Path, act: impl FnOnce() -> Result<T, FormatError>) -> Result<T, FormatError> {
    let meta = path.join(".mixmeta");
    let file = File::open(&meta).map_err(|source| failed("open", &meta, source))?;
    match Flock::attempt(&file, Kind::Exclusive) {
        Ok(true) => act(),
        Ok(false) => Err(FormatError::InUse { path: path.into(), by: "a session has it open".into() }),
        Err(source) => Err(failed("lock", &meta, source)),
    }
}

/// Every file of the format in a mailbox's directory.
fn own_files(path: &Path) -> Result<Vec<std::path::PathBuf>, FormatError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|source| failed("list", path, source))? {
        let entry = entry.map_err(|source| failed("list", path, source))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".mix") {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn is_mix(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(9);
    match File::open(path.join(".mixmeta")) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        file => {
            file?.take(9).read_to_end(&mut start)?;
            Ok(layout::sequence(&start).is_some())
        }
    }
}

impl OpenMailbox for open::Mix {
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
        Ok(Box::new(self.text(uid)?))
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
        vec![&self.directory]
    }
}
