//! Names of mailboxes that are files below a directory, as UW's programs have them: levels are directories, names are in modified UTF-7 as clients send
//! them, and the names that somebody is subscribed to stand in `.mailboxlist`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use paquebot_protocol::{decode_utf7, encode_utf7};
use paquebot_types::MailboxName;

use crate::driver::{Found, Root};
use crate::error::FormatError;

const SUBSCRIPTIONS: &str = ".mailboxlist";
const SUBSCRIPTIONS_NEW: &str = ".mlbxlsttmp";
/// Directories are looked into this deep.
const DEPTH: usize = 32;

/// Whether a file is a mailbox of the format.
pub type IsMailbox<'a> = &'a dyn Fn(&Path) -> io::Result<bool>;

/// Does something to a mailbox's file while no session has it.
pub type Alone<'a> = &'a dyn Fn(&Path, &mut dyn FnMut() -> Result<(), FormatError>) -> Result<(), FormatError>;

/// Where the mailbox of a name lies or would lie.
pub fn path(root: &Root, name: &MailboxName) -> Result<PathBuf, FormatError> {
    if name.is_inbox() {
        return Ok(root.inbox.clone().unwrap_or_else(|| root.directory.join("INBOX")));
    }
    let mut path = root.directory.clone();
    for level in name.as_str().split(MailboxName::SEPARATOR) {
        let level = encode_utf7(level);
        // A dot hides other programs' files, and dot-locks end so.
        if level.starts_with(['.', '#', '{', '~']) || level.ends_with(".lock") || level.len() > 255 {
            return Err(FormatError::CannotHold(format!("{level} cannot be a mailbox's name in a directory of files")));
        }
        path.push(&*level);
    }
    Ok(path)
}

/// The path of a mailbox that there is.
pub fn existing(root: &Root, name: &MailboxName, is_mailbox: IsMailbox<'_>) -> Result<PathBuf, FormatError> {
    let path = path(root, name)?;
    match is_mailbox(&path) {
        Ok(true) => Ok(path),
        Ok(false) => Err(FormatError::NoMailbox(name.clone())),
        Err(error) if is_absent(&error) => Err(FormatError::NoMailbox(name.clone())),
        Err(source) => Err(failed("open", &path, source)),
    }
}

/// The path of a mailbox that is to be made; the directories above it are there then.
pub fn new_file(root: &Root, name: &MailboxName) -> Result<PathBuf, FormatError> {
    let path = path(root, name)?;
    match std::fs::symlink_metadata(&path) {
        Ok(_) => return Err(FormatError::Exists(name.clone())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(no_inferiors(name)),
        Err(source) => return Err(failed("look at", &path, source)),
    }
    if let Some(above) = path.parent() {
        match std::fs::create_dir_all(above) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) => {
                return Err(no_inferiors(name));
            }
            made => made.map_err(|source| failed("make the directory of", &path, source))?,
        }
    }
    Ok(path)
}

/// Gives a new file to the mailboxes' owner, and makes its name durable.
pub fn settle(root: &Root, path: &Path) -> Result<(), FormatError> {
    if let Some(owner) = root.owner {
        let owned = std::os::unix::fs::chown(path, Some(owner.user), Some(owner.group));
        owned.map_err(|source| failed("give to its owner", path, source))?;
    }
    sync_directory(path)
}

pub fn remove(path: &Path) -> Result<(), FormatError> {
    std::fs::remove_file(path).map_err(|source| failed("remove", path, source))?;
    sync_directory(path)
}

/// Renames a mailbox, or a level with all that is below it. `alone` keeps sessions out of a mailbox.
pub fn rename(
    root: &Root,
    from: &MailboxName,
    to: &MailboxName,
    is_mailbox: IsMailbox<'_>,
    alone: Alone<'_>,
) -> Result<(), FormatError> {
    let old = path(root, from)?;
    let new = new_file(root, to)?;
    let mut act = || {
        std::fs::rename(&old, &new).map_err(|source| failed("rename", &old, source))?;
        sync_directory(&old)?;
        sync_directory(&new)
    };
    match std::fs::metadata(&old) {
        Ok(_) if is_mailbox(&old).unwrap_or(false) => alone(&old, &mut act),
        Ok(found) if found.is_dir() => act(),
        Ok(_) => Err(FormatError::NoMailbox(from.clone())),
        Err(error) if is_absent(&error) => Err(FormatError::NoMailbox(from.clone())),
        Err(source) => Err(failed("look at", &old, source)),
    }
}

/// Whether any file below the root is a mailbox of the format.
pub fn any_file(root: &Root, is_mailbox: IsMailbox<'_>) -> Result<bool, FormatError> {
    if root.directory.is_file() {
        return is_mailbox(&root.directory).map_err(|source| failed("open", &root.directory, source));
    }
    Ok(list(root, is_mailbox)?.iter().any(|found| found.selectable))
}

/// Every name, with the levels above mailboxes and the names that somebody is subscribed to.
pub fn list(root: &Root, is_mailbox: IsMailbox<'_>) -> Result<Vec<Found>, FormatError> {
    let mut names: BTreeMap<MailboxName, Found> = BTreeMap::new();
    let mut waiting = vec![(root.directory.clone(), String::new(), 0)];
    while let Some((directory, above, depth)) = waiting.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if is_absent(&error) => continue,
            entries => entries.map_err(|source| failed("list", &directory, source))?,
        };
        for entry in entries {
            let entry = entry.map_err(|source| failed("list", &directory, source))?;
            let Some((path, name)) = entry_name(&entry.path(), &above) else { continue };
            let is_directory = path.is_dir();
            let selectable = is_mailbox(&path).unwrap_or(false);
            if let (true, Ok(mailbox)) = (selectable || is_directory, MailboxName::new(&name)) {
                let found = Found { name: mailbox.clone(), selectable, subscribed: false, special_use: None };
                names.entry(mailbox).or_insert(found).selectable |= selectable;
            }
            if is_directory && depth < DEPTH {
                waiting.push((path, name + "/", depth + 1));
            }
        }
    }
    let inbox = MailboxName::inbox();
    if path(root, &inbox).is_ok_and(|path| is_mailbox(&path).unwrap_or(false)) {
        names.insert(inbox.clone(), Found { name: inbox, selectable: true, subscribed: false, special_use: None });
    }
    for name in subscriptions(root)? {
        let absent = Found { name: name.clone(), selectable: false, subscribed: true, special_use: None };
        names.entry(name).or_insert(absent).subscribed = true;
    }
    Ok(names.into_values().collect())
}

/// A file's path and its mailbox name; `None` for one that is hidden or has no name that IMAP could say.
fn entry_name(path: &Path, above: &str) -> Option<(PathBuf, String)> {
    let name = path.file_name()?.to_str()?;
    if name.starts_with(['.', '#', '{', '~']) || name.ends_with(".lock") {
        return None;
    }
    Some((path.to_owned(), format!("{above}{}", decode_utf7(name)?)))
}

pub fn subscriptions(root: &Root) -> Result<Vec<MailboxName>, FormatError> {
    let path = root.directory.join(SUBSCRIPTIONS);
    let octets = match std::fs::read(&path) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        octets => octets.map_err(|source| failed("read", &path, source))?,
    };
    let lines = octets.split(|octet| *octet == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    Ok(lines.filter_map(|line| MailboxName::new(&decode_utf7(line.trim_end_matches('\r'))?).ok()).collect())
}

pub fn subscribe(root: &Root, name: &MailboxName, subscribed: bool) -> Result<(), FormatError> {
    let mut names = subscriptions(root)?;
    if names.contains(name) == subscribed {
        return Ok(());
    }
    match subscribed {
        true => names.push(name.clone()),
        false => names.retain(|other| other != name),
    }
    let (path, new) = (root.directory.join(SUBSCRIPTIONS), root.directory.join(SUBSCRIPTIONS_NEW));
    let write = || {
        let mut file = File::create(&new)?;
        for name in &names {
            writeln!(file, "{}", encode_utf7(name.as_str()))?;
        }
        file.sync_all()
    };
    write().map_err(|source| failed("write", &new, source))?;
    settle(root, &new)?;
    std::fs::rename(&new, &path).map_err(|source| failed("write", &path, source))?;
    sync_directory(&path)
}

/// Makes the name of a file durable.
pub fn sync_directory(path: &Path) -> Result<(), FormatError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    File::open(directory).and_then(|file| file.sync_all()).map_err(|source| failed("flush", directory, source))
}

fn no_inferiors(name: &MailboxName) -> FormatError {
    FormatError::CannotHold(format!("{name}: a mailbox above it is a file, which cannot have mailboxes below it"))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> FormatError {
    FormatError::Io { doing, path: path.into(), source }
}
