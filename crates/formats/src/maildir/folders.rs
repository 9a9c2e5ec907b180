//! Where mailboxes lie below a root, and what they are called.
//!
//! Maildir++ has INBOX at the top and every other mailbox beside one another in it: `A/B` is `.A.B`. Dovecot's `LAYOUT=fs` nests: `A/B`. Names on disk are
//! UTF-8 (Courier since 2018) or modified UTF-7 (Courier before, Dovecot): one of the two in a tree.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use paquebot_protocol::{decode_utf7, encode_utf7};
use paquebot_types::MailboxName;

use super::uids::Server;
use super::{failed, is_absent, layout};
use crate::driver::{Found, Root};
use crate::error::FormatError;

/// Directories are looked into this deep.
const DEPTH: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `.A.B` in the top directory.
    Flat,
    /// `A/B`.
    Nested,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf7,
}

/// What is known of a tree of maildirs.
#[derive(Debug, Clone)]
pub struct Tree {
    pub top: PathBuf,
    inbox: PathBuf,
    pub layout: Layout,
    pub encoding: Encoding,
    /// Whose companion files a mailbox without any gets.
    pub server: Server,
}

impl Tree {
    /// Looks at the top directory; one that is absent or empty becomes a Maildir++ as Dovecot has it.
    pub fn read(root: &Root) -> Result<Self, FormatError> {
        let top = root.directory.clone();
        let entries = match std::fs::read_dir(&top) {
            Err(error) if is_absent(&error) => Vec::new(),
            entries => {
                let names = entries.and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
                names.map_err(|source| failed("list", &top, source))?
            }
        };
        let (mut flat, mut nested, mut utf7, mut utf8, mut courier, mut dovecot) =
            (false, false, false, false, false, false);
        for name in &entries {
            let octets = name.as_bytes();
            courier |= octets.starts_with(b"courierimap");
            dovecot |= octets.starts_with(b"dovecot") || octets == b"subscriptions";
            let is_level = !matches!(octets, b"cur" | b"new" | b"tmp");
            let hidden = octets.first() == Some(&b'.');
            if !is_level || octets.starts_with(b"..") || (flat && !hidden) || !is_maildir(&top.join(name)) {
                continue;
            }
            if hidden {
                flat = true;
            } else {
                nested = true;
            }
            match std::str::from_utf8(octets) {
                Ok(text) if !text.is_ascii() => utf8 = true,
                // `&` alone cannot stand in modified UTF-7.
                Ok(text) if text.contains('&') && decode_utf7(text).is_none() => utf8 = true,
                Ok(text) => utf7 |= text.contains('&'),
                Err(_) => {}
            }
        }
        let inbox = match &root.inbox {
            Some(inbox) => inbox.clone(),
            None if nested && !flat && !top.join("cur").is_dir() => top.join("INBOX"),
            None => top.clone(),
        };
        let server = if courier && !dovecot { Server::Courier } else { Server::Dovecot };
        let encoding = match (utf8, utf7, server) {
            (true, _, _) | (false, false, Server::Courier) => Encoding::Utf8,
            _ => Encoding::Utf7,
        };
        let layout = if nested && !flat { Layout::Nested } else { Layout::Flat };
        Ok(Self { top, inbox, layout, encoding, server })
    }

    /// Where the mailbox of a name lies or would lie.
    pub fn path(&self, name: &MailboxName) -> Result<PathBuf, FormatError> {
        if name.is_inbox() {
            return Ok(self.inbox.clone());
        }
        let mut levels = Vec::new();
        for level in name.as_str().split(MailboxName::SEPARATOR) {
            let level = self.encode(level);
            let is_taken = matches!(&*level, "cur" | "new" | "tmp");
            let cannot = match self.layout {
                Layout::Flat => level.contains('.'),
                Layout::Nested => level.starts_with('.') || is_taken,
            };
            if cannot || level.len() > layout::NAME_BYTES_MAX {
                return Err(FormatError::CannotHold(format!(
                    "{level} cannot be a level of a mailbox's name in a maildir"
                )));
            }
            levels.push(level);
        }
        let name = match self.layout {
            Layout::Flat => format!(".{}", levels.join(".")),
            Layout::Nested => levels.join("/"),
        };
        if self.layout == Layout::Flat && name.len() > layout::NAME_BYTES_MAX {
            return Err(FormatError::CannotHold(format!("{name} is too long for the name of a directory")));
        }
        Ok(self.top.join(name))
    }

    /// The path of a mailbox that there is.
    pub fn existing(&self, name: &MailboxName) -> Result<PathBuf, FormatError> {
        let path = self.path(name)?;
        if is_maildir(&path) { Ok(path) } else { Err(FormatError::NoMailbox(name.clone())) }
    }

    /// As the levels of names stand on disk.
    pub fn encode(&self, level: &str) -> String {
        match self.encoding {
            Encoding::Utf8 => level.to_owned(),
            Encoding::Utf7 => encode_utf7(level).into_owned(),
        }
    }

    pub fn decode(&self, level: &str) -> Option<String> {
        match self.encoding {
            Encoding::Utf8 => Some(level.to_owned()),
            Encoding::Utf7 => decode_utf7(level).map(std::borrow::Cow::into_owned),
        }
    }

    /// Every mailbox, with the levels above them.
    pub fn list(&self) -> Result<BTreeMap<MailboxName, Found>, FormatError> {
        let mut names = BTreeMap::new();
        let mut add = |name: MailboxName| {
            let mut above = name.parent();
            while let Some(level) = above {
                above = level.parent();
                names.entry(level.clone()).or_insert_with(|| found(level, false));
            }
            names.insert(name.clone(), found(name, true));
        };
        if is_maildir(&self.inbox) {
            add(MailboxName::inbox());
        }
        let mut waiting = vec![(self.top.clone(), String::new(), 0)];
        while let Some((directory, above, depth)) = waiting.pop() {
            let entries = match std::fs::read_dir(&directory) {
                Err(error) if is_absent(&error) => continue,
                entries => entries.map_err(|source| failed("list", &directory, source))?,
            };
            for entry in entries {
                let entry = entry.map_err(|source| failed("list", &directory, source))?;
                if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    continue;
                }
                let path = entry.path();
                let Some(name) = self.entry_name(entry.file_name().as_bytes(), &above, &path) else { continue };
                if is_maildir(&path) && name.as_str() != "INBOX" {
                    add(name.clone());
                }
                if self.layout == Layout::Nested && depth < DEPTH && path.is_dir() {
                    waiting.push((path, format!("{name}/"), depth + 1));
                }
            }
        }
        Ok(names)
    }

    /// The mailbox name of a directory; `None` for what is hidden, and for what has no name that IMAP could say, which is told.
    fn entry_name(&self, octets: &[u8], above: &str, path: &Path) -> Option<MailboxName> {
        let levels: Vec<&[u8]> = match self.layout {
            Layout::Flat => octets.strip_prefix(b".")?.split(|octet| *octet == b'.').collect(),
            Layout::Nested if octets.starts_with(b".") || matches!(octets, b"cur" | b"new" | b"tmp") => return None,
            Layout::Nested => vec![octets],
        };
        if self.layout == Layout::Flat && levels.iter().any(|level| level.is_empty()) {
            // `..` and what other programs have thrown away.
            return None;
        }
        let decoded: Option<Vec<String>> =
            levels.iter().map(|level| self.decode(std::str::from_utf8(level).ok()?)).collect();
        let name = decoded.and_then(|levels| MailboxName::new(&format!("{above}{}", levels.join("/"))).ok());
        if name.is_none() && is_maildir(path) {
            tracing::warn!(path = %path.display(), "this directory's name is no mailbox name: it is not served");
        }
        name.filter(|name| !name.is_inbox())
    }
}

/// Whether there are `cur`, `new` and `tmp`. Some programs leave `tmp` out of what they unpack.
pub fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() && path.join("new").is_dir()
}

fn found(name: MailboxName, selectable: bool) -> Found {
    Found { name, selectable, subscribed: false, special_use: None }
}
