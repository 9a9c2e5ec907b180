//! The list of mailboxes: mailboxes.db, or what lies in the partitions where that cannot be read.

use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::acl::Acl;
use super::config::Store;
use super::database::Database;
use super::dlist::Value;
use super::header::{self, Header};
use super::name::Internal;
use super::report;
use crate::error::FormatError;

/// Partitions are looked into this deep, and for this many directories, where there is no list.
const DEPTH: usize = 72;
const DIRECTORIES_MAX: usize = 1 << 20;

/// What the list says of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub internal: Internal,
    pub partition: String,
    /// Empty where only cyrus.header has it.
    pub unique_id: String,
    pub uid_validity: Option<u32>,
    pub acl: Acl,
    /// Whether its directories go by its name.
    pub by_name: bool,
    /// Only a level above others.
    pub intermediate: bool,
}

#[derive(Debug)]
pub enum Mailboxes {
    /// 3.6 and later: keys of names and of unique ids.
    New(Database),
    /// Before: keys are internal names.
    Old(Database),
    /// No list: this lies in the partitions.
    Found(Vec<Entry>),
}

impl Mailboxes {
    pub fn open(store: &Store) -> Result<Self, FormatError> {
        let database = match Database::open(store.mailboxes()) {
            Err(FormatError::Damaged { offset, .. }) => {
                report::damage(
                    store.mailboxes(),
                    offset,
                    "the list of mailboxes cannot be read: the partitions are searched instead",
                );
                None
            }
            opened => opened?,
        };
        let Some(database) = database else { return Ok(Self::Found(search(store))) };
        let mut is_new = false;
        database.scan(b"N", &mut |key, _| {
            is_new = key.contains(&0x1f) || key.contains(&0x1d);
            if is_new { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Ok(if is_new { Self::New(database) } else { Self::Old(database) })
    }

    pub fn get(&self, internal: &Internal) -> Option<Entry> {
        match self {
            Self::New(database) => {
                let key = format!("N{}", internal.to_database());
                database.get(key.as_bytes()).and_then(|value| new_entry(internal.clone(), &value))
            }
            Self::Old(_) => {
                let mut found = None;
                // Sorted by whatever order the server was told to sort by, so all are looked at.
                self.each(&mut |entry| {
                    if entry.internal == *internal {
                        found = Some(entry);
                    }
                });
                found
            }
            Self::Found(entries) => entries.iter().find(|entry| entry.internal == *internal).cloned(),
        }
    }

    /// Gives every mailbox of this server that is not deleted.
    pub fn each(&self, give: &mut dyn FnMut(Entry)) {
        let mut give = |entry: Option<Entry>| {
            if let Some(entry) = entry.filter(|entry| !entry.internal.is_deleted()) {
                give(entry);
            }
            ControlFlow::Continue(())
        };
        let text = |key: &[u8]| std::str::from_utf8(key).map(str::to_owned).unwrap_or_default();
        match self {
            Self::New(database) => database.scan(b"N", &mut |key, value| {
                let internal = key.get(1..).and_then(|key| Internal::from_database(&text(key)));
                give(internal.and_then(|internal| new_entry(internal, value)))
            }),
            Self::Old(database) => database.scan(b"", &mut |key, value| {
                // Keys with a dollar are notes of the server's own.
                let internal = Internal::parse(&text(key)).filter(|_| !key.starts_with(b"$"));
                give(internal.and_then(|internal| old_entry(internal, value)))
            }),
            Self::Found(entries) => {
                for entry in entries {
                    if give(Some(entry.clone())).is_break() {
                        return;
                    }
                }
            }
        }
    }
}

/// `%(T e I id P default V uidvalidity ... A %(alice lrs))`.
fn new_entry(internal: Internal, value: &[u8]) -> Option<Entry> {
    let value = Value::parse(value)?;
    let kind = value.string(b"T").unwrap_or_default();
    if !has_mail(&kind) {
        return None;
    }
    Some(Entry {
        internal,
        partition: value.string(b"P").unwrap_or_default(),
        unique_id: value.string(b"I").unwrap_or_default(),
        uid_validity: value.string(b"V").and_then(|digits| digits.parse().ok()),
        acl: value.get(b"A").map(Acl::from_value).unwrap_or_default(),
        by_name: kind.contains('l'),
        intermediate: kind.contains('i'),
    })
}

/// Of mail, intermediate, by name, being moved; a mailbox of any other type has no mail, or none here.
fn has_mail(kind: &str) -> bool {
    kind.chars().all(|letter| matches!(letter, 'e' | 'i' | 'l' | 'm'))
}

/// The same with directories by name, or `type SP partition SP acl`.
fn old_entry(internal: Internal, value: &[u8]) -> Option<Entry> {
    if value.starts_with(b"%") {
        return new_entry(internal, value).map(|entry| Entry { by_name: true, ..entry });
    }
    let mut parts = value.splitn(3, |octet| *octet == b' ');
    let (kind, partition) = (parts.next()?, std::str::from_utf8(parts.next()?).ok()?);
    // Any other is remote, reserved or in the middle of a move.
    (kind == b"0").then(|| Entry {
        internal,
        partition: partition.to_owned(),
        unique_id: String::new(),
        uid_validity: None,
        acl: parts.next().map(Acl::from_tabs).unwrap_or_default(),
        by_name: true,
        intermediate: false,
    })
}

/// What lies in the partitions.
fn search(store: &Store) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut left = DIRECTORIES_MAX;
    for (partition, directory) in store.partitions() {
        let mut open = vec![PathBuf::new()];
        while let (Some(path), true) = (open.pop(), left > 0) {
            left -= 1;
            let Ok(entries) = std::fs::read_dir(directory.join(&path)) else { continue };
            let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            if path.components().count() < DEPTH {
                open.extend(directories.map(|entry| path.join(entry.file_name())));
            }
            found.extend(entry_at(directory, &path, partition));
        }
    }
    found.sort_by(|a: &Entry, b| a.internal.cmp(&b.internal));
    found.dedup_by(|a, b| a.internal == b.internal);
    found
}

fn entry_at(directory: &Path, path: &Path, partition: &str) -> Option<Entry> {
    let file = directory.join(path).join("cyrus.header");
    let header = read_header(&file).filter(|header| header.kind.as_deref().is_none_or(has_mail))?;
    let by_name = !path.starts_with("uuid");
    let internal = match &header.name {
        Some(name) => Internal::parse(name)?,
        None if by_name => name_of(path)?,
        None => return None,
    };
    Some(Entry {
        internal,
        partition: partition.to_owned(),
        unique_id: header.unique_id,
        uid_validity: None,
        acl: header.acl,
        by_name,
        intermediate: false,
    })
}

/// The name that a directory below a partition stands for: `[domain/[h/]example.org/][h/]user/alice/Sent`.
fn name_of(path: &Path) -> Option<Internal> {
    let mut levels: Vec<&str> = path.iter().map(|level| level.to_str().unwrap_or_default()).collect();
    let is_spread = |levels: &[&str]| levels.len() > 1 && levels.first().is_some_and(|level| level.len() == 1);
    let mut domain = None;
    if levels.first() == Some(&"domain") {
        levels.remove(0);
        if is_spread(&levels) {
            levels.remove(0);
        }
        domain = Some(levels.first()?.to_string());
        levels.remove(0);
    }
    if is_spread(&levels) {
        levels.remove(0);
    }
    Internal::parse(&levels.join(".")).map(|internal| Internal { domain, ..internal })
}

/// The header of a mailbox, where it is one.
pub fn read_header(file: &Path) -> Option<Header> {
    let mut octets = Vec::new();
    File::open(file).ok()?.take(header::BYTES_MAX).read_to_end(&mut octets).ok()?;
    Header::parse(&octets).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_of_all_times_are_read() {
        let sent = || Internal::parse("user.alice.Sent").unwrap();
        let old = old_entry(sent(), b"0 big alice\tlrswi\tbob\tlr\t").unwrap();
        assert_eq!((old.partition.as_str(), old.by_name, old.acl.allows("bob", 'r')), ("big", true, true));
        assert_eq!(old_entry(sent(), b"1 other!big alice\tlrswi\t"), None);
        let middle = old_entry(sent(), b"%(A %(alice lrswi) I abc P default V 77 M 1)").unwrap();
        assert_eq!((middle.unique_id.as_str(), middle.uid_validity, middle.by_name), ("abc", Some(77), true));
        let new = new_entry(sent(), b"%(T e I abc P default V 77 A %(alice lrs))").unwrap();
        assert!(!new.by_name && new.acl.allows("alice", 's'));
        assert!(new_entry(sent(), b"%(T el I abc)").unwrap().by_name);
        for kind in ["ed", "r", "c", "a", "z"] {
            assert_eq!(new_entry(sent(), format!("%(T {kind} I abc)").as_bytes()), None);
        }
        assert_eq!(old_entry(sent(), b"nonsense"), None);
    }

    #[test]
    fn directories_have_names() {
        let name = |path: &str| name_of(Path::new(path)).map(|internal| internal.whole());
        assert_eq!(name("c/user/carol/sub/x y").as_deref(), Some("user.carol.sub.x y"));
        assert_eq!(name("user/carol").as_deref(), Some("user.carol"));
        assert_eq!(name("domain/e/example.org/c/user/carol").as_deref(), Some("example.org!user.carol"));
        assert_eq!(name("domain"), None);
    }
}
