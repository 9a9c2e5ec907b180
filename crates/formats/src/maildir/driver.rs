//! The format's row in the table.

use std::path::{Path, PathBuf};

use paquebot_guard::Purpose;
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet, UidValidity};

use super::files::{self, Files};
use super::folders::{self, Layout, Tree};
use super::layout;
use super::open::Mailbox;
use super::uids::{Server, Uids};
use super::{failed, is_absent, subscriptions, unique, validity};
use crate::driver::{Abilities, Access, Children, Driver, Found, Root, Sessions};
use crate::error::FormatError;
use crate::mailbox::{Arriving, Body, Changes, Expunged, Message, OpenMailbox, State};
use crate::netfs;

/// The driver of maildirs, with Dovecot's or Courier's files.
#[derive(Debug)]
pub struct Maildir;

static ABILITIES: Abilities = Abilities {
    sessions: Sessions::Many,
    children: Children::Any,
    writes: true,
    keywords_max: layout::LETTERS,
    keyword_bytes_max: paquebot_types::KEYWORD_BYTES_MAX,
    // The date is the file's time of change.
    keeps_zone: false,
    keeps_nul: true,
    // A bare LF comes back as CR LF.
    keeps_octets: false,
    keeps_modseq: false,
};

/// What makes a directory a maildir, in the order in which it is made: with the last it is one.
const PARTS: [&str; 3] = ["tmp", "new", "cur"];
/// Thrown away, and not removed yet: such a name is no mailbox's.
const TRASHED: &str = "..paquebot-trashed-";

impl Driver for Maildir {
    fn name(&self) -> &'static str {
        "maildir"
    }

    fn abilities(&self) -> &'static Abilities {
        &ABILITIES
    }

    fn recognises(&self, root: &Root) -> Result<bool, FormatError> {
        Ok(Tree::read(root)?.list()?.values().any(|found| found.selectable))
    }

    fn list(&self, root: &Root) -> Result<Vec<Found>, FormatError> {
        let tree = Tree::read(root)?;
        let mut names = tree.list()?;
        for name in subscriptions::read(&tree)? {
            let absent = Found { name: name.clone(), selectable: false, subscribed: true, special_use: None };
            names.entry(name).or_insert(absent).subscribed = true;
        }
        Ok(names.into_values().collect())
    }

    fn open(&self, root: &Root, name: &MailboxName, access: Access) -> Result<Box<dyn OpenMailbox>, FormatError> {
        let tree = Tree::read(root)?;
        let path = tree.existing(name)?;
        if access == Access::Write {
            netfs::may_change(&path, Purpose::Maildir)?;
        }
        Ok(Box::new(Mailbox::open(&tree, &path, Files::of(root), access)?))
    }

    fn create(&self, root: &Root, name: &MailboxName, validity: UidValidity) -> Result<(), FormatError> {
        let tree = Tree::read(root)?;
        let (path, files) = (tree.path(name)?, Files::of(root));
        if folders::is_maildir(&path) {
            return Err(FormatError::Exists(name.clone()));
        }
        netfs::may_change(&path, Purpose::Maildir)?;
        make_directories(files, &path)?;
        if !name.is_inbox() && tree.layout == Layout::Flat {
            // The top is INBOX, and there always is one.
            make_parts(files, &tree.top)?;
            // Tells delivery agents that the quota is one up.
            let marker = path.join("maildirfolder");
            absent_or_made(files.create_new(&marker)).map_err(|source| failed("make", &marker, source))?;
        }
        make_parts(files, &path)?;
        let mut uids = Uids::new(tree.server, &path, files);
        let lock = uids.lock()?;
        uids.update()?;
        uids.begin(validity);
        uids.save(&lock, &[], &|_| false, 0)?;
        if tree.server == Server::Dovecot {
            validity::used(&tree.top, files, validity)?;
        }
        path.parent().map_or(Ok(()), files::sync)
    }

    fn delete(&self, root: &Root, name: &MailboxName) -> Result<(), FormatError> {
        let tree = Tree::read(root)?;
        let path = tree.existing(name)?;
        if name.is_inbox() {
            return Err(FormatError::CannotHold("INBOX cannot be deleted: a maildir's top is it".into()));
        }
        let trashed = tree.top.join(format!("{TRASHED}{}", unique::name()));
        if tree.layout == Layout::Nested {
            return delete_nested(&path, &trashed);
        }
        rename(&path, &trashed)?;
        std::fs::remove_dir_all(&trashed).map_err(|source| failed("remove", &trashed, source))
    }

    fn rename(&self, root: &Root, from: &MailboxName, to: &MailboxName) -> Result<(), FormatError> {
        let tree = Tree::read(root)?;
        if from.is_inbox() {
            return rename_inbox(self, root, &tree, to);
        }
        let all = tree.list()?;
        if all.contains_key(to) {
            return Err(FormatError::Exists(to.clone()));
        }
        let moved: Vec<_> = all.keys().filter(|name| *name == from || name.is_below(from)).collect();
        if moved.is_empty() {
            return Err(FormatError::NoMailbox(from.clone()));
        }
        if tree.layout == Layout::Nested {
            let (old, new) = (tree.path(from)?, tree.path(to)?);
            if let Some(above) = new.parent() {
                make_directories(Files::of(root), above)?;
            }
            return rename(&old, &new);
        }
        let mut renames = Vec::new();
        for name in moved.into_iter().filter(|name| all[*name].selectable) {
            let new = name.moved(from, to).filter(|new| !all.contains_key(new));
            let new = new.ok_or_else(|| FormatError::CannotHold(format!("{name} cannot be renamed along")))?;
            renames.push((tree.path(name)?, tree.path(&new)?));
        }
        for (at, (old, new)) in renames.iter().enumerate() {
            if let Err(error) = rename(old, new) {
                for (old, new) in renames[..at].iter().rev() {
                    let _ = std::fs::rename(new, old);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn subscribe(&self, root: &Root, name: &MailboxName, subscribed: bool) -> Result<(), FormatError> {
        let tree = Tree::read(root)?;
        subscriptions::subscribe(&tree, Files::of(root), name, subscribed)
    }
}

/// INBOX's messages go to a new mailbox with their UIDs, and INBOX begins anew.
fn rename_inbox(driver: &Maildir, root: &Root, tree: &Tree, to: &MailboxName) -> Result<(), FormatError> {
    let files = Files::of(root);
    let inbox = tree.existing(&MailboxName::inbox())?;
    driver.create(root, to, UidValidity::MIN)?;
    let target = tree.path(to)?;
    let mut uids = Uids::new(tree.server, &inbox, files);
    let lock = uids.lock()?;
    let fresh = validity::next(&tree.top, files, tree.server)?;
    // The list first: who looks in between finds messages that are gone, and no messages without UIDs.
    for file in [tree.server.list(), "dovecot-keywords"] {
        let (old, new) = (inbox.join(file), target.join(file));
        match std::fs::rename(&old, &new) {
            Err(error) if is_absent(&error) => {}
            renamed => renamed.map_err(|source| failed("rename", &old, source))?,
        }
    }
    uids.begin(fresh);
    uids.save(&lock, &[], &|_| false, 0)?;
    for part in ["new", "cur", "courierimapkeywords"] {
        move_files(&inbox.join(part), &target.join(part), files)?;
    }
    files::sync(&inbox)
}

fn move_files(from: &Path, to: &Path, files: Files) -> Result<(), FormatError> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries.map_err(|source| failed("list", from, source))?,
    };
    files.make_directory(to).map_err(|source| failed("make", to, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| failed("list", from, source))?;
        match std::fs::rename(entry.path(), to.join(entry.file_name())) {
            // Another session has renamed it: it stays, and gets a UID in the new INBOX.
            Err(error) if is_absent(&error) => {}
            renamed => renamed.map_err(|source| failed("rename", &entry.path(), source))?,
        }
    }
    files::sync(to)?;
    files::sync(from)
}

/// A directory with all that are missing above it.
fn make_directories(files: Files, path: &Path) -> Result<(), FormatError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.is_dir()).collect();
    for path in missing.into_iter().rev() {
        files.make_directory(path).map_err(|source| failed("make", path, source))?;
    }
    Ok(())
}

fn make_parts(files: Files, path: &Path) -> Result<(), FormatError> {
    for part in PARTS {
        let part = path.join(part);
        files.make_directory(&part).map_err(|source| failed("make", &part, source))?;
    }
    files::sync(path)
}

fn absent_or_made(made: std::io::Result<std::fs::File>) -> std::io::Result<()> {
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(|_| ()),
    }
}

/// Takes a mailbox's own parts away; what is below it stays.
fn delete_nested(path: &Path, trashed: &Path) -> Result<(), FormatError> {
    std::fs::create_dir(trashed).map_err(|source| failed("make", trashed, source))?;
    let entries = std::fs::read_dir(path).map_err(|source| failed("list", path, source))?;
    let mut own: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed("list", path, source))?;
        let is_part = PARTS.iter().any(|part| entry.file_name() == *part);
        if is_part || entry.file_type().is_ok_and(|kind| kind.is_file()) {
            own.push(entry.path());
        }
    }
    // Without `cur` it is no mailbox, whatever a crash leaves of the rest.
    own.sort_by_key(|path| !path.ends_with("cur"));
    for old in own {
        let Some(name) = old.file_name() else { continue };
        std::fs::rename(&old, trashed.join(name)).map_err(|source| failed("remove", &old, source))?;
    }
    files::sync(path)?;
    // Unless something is below it.
    let _ = std::fs::remove_dir(path);
    std::fs::remove_dir_all(trashed).map_err(|source| failed("remove", trashed, source))
}

fn rename(old: &Path, new: &Path) -> Result<(), FormatError> {
    super::look::rename_new(old, new).map_err(|source| failed("rename", old, source))?;
    for directory in [old.parent(), new.parent()].into_iter().flatten() {
        files::sync(directory)?;
    }
    Ok(())
}

impl OpenMailbox for Mailbox {
    fn state(&self) -> &State {
        &self.state
    }

    fn messages(&self) -> &[Message] {
        &self.messages
    }

    fn refresh(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        self.look(expunged)
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
        vec![&self.new, &self.cur]
    }
}
