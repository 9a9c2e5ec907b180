//! LIST, LSUB, XLIST and NAMESPACE.

use paquebot_types::{MailboxName, SpecialUse};

use super::text::{write_astring, write_string};
use super::{Mode, ResponseWriter};
use crate::ListKind;
use crate::utf7::encode_utf7;

/// An attribute of a mailbox (RFC 9051, 7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListAttribute {
    NonExistent,
    NoInferiors,
    /// `\Noselect`
    NoSelect,
    HasChildren,
    HasNoChildren,
    Marked,
    Unmarked,
    Subscribed,
    Remote,
    /// XLIST's name for INBOX.
    Inbox,
    Use(SpecialUse),
}

impl ListAttribute {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NonExistent => "\\NonExistent",
            Self::NoInferiors => "\\Noinferiors",
            Self::NoSelect => "\\Noselect",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Marked => "\\Marked",
            Self::Unmarked => "\\Unmarked",
            Self::Subscribed => "\\Subscribed",
            Self::Remote => "\\Remote",
            Self::Inbox => "\\Inbox",
            Self::Use(special_use) => special_use.as_str(),
        }
    }
}

/// The name in a LIST response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListName<'a> {
    Mailbox(&'a MailboxName),
    /// The answer to an empty pattern: the root of the reference, often empty.
    Root(&'a str),
}

/// A mailbox as LIST, LSUB and XLIST tell it.
#[derive(Debug, Clone, Copy)]
pub struct ListEntry<'a> {
    pub attributes: &'a [ListAttribute],
    /// `None` is written as NIL: a name without hierarchy.
    pub separator: Option<char>,
    pub name: ListName<'a>,
    /// CHILDINFO (RFC 9051, 7.3.1): the selection options that mailboxes below meet, `SUBSCRIBED` say. Only after RECURSIVEMATCH.
    pub child_info: &'a [&'a str],
    /// OLDNAME: what the mailbox was called, or how the client named it.
    pub old_name: Option<&'a MailboxName>,
}

/// One namespace: its prefix and its separator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace<'a> {
    pub prefix: &'a str,
    pub separator: Option<char>,
}

impl ResponseWriter<'_> {
    /// One mailbox in the answer to LIST, LSUB or XLIST.
    pub fn list(&mut self, kind: ListKind, entry: &ListEntry<'_>) {
        self.out.extend_from_slice(match kind {
            ListKind::List => b"* LIST (".as_slice(),
            ListKind::Lsub => b"* LSUB (",
            ListKind::Xlist => b"* XLIST (",
        });
        super::text::write_words(self.out, entry.attributes.iter().map(|attribute| attribute.as_str()));
        self.out.extend_from_slice(b") ");
        self.separator(entry.separator);
        self.out.push(b' ');
        match entry.name {
            ListName::Mailbox(name) => write_mailbox(self.out, name.as_str(), self.mode),
            ListName::Root(root) => write_mailbox(self.out, root, self.mode),
        }
        self.list_extended(entry);
        self.end_line();
    }

    fn list_extended(&mut self, entry: &ListEntry<'_>) {
        if entry.child_info.is_empty() && entry.old_name.is_none() {
            return;
        }
        self.out.extend_from_slice(b" (");
        if !entry.child_info.is_empty() {
            self.out.extend_from_slice(b"\"CHILDINFO\" (");
            for (index, option) in entry.child_info.iter().enumerate() {
                if index > 0 {
                    self.out.push(b' ');
                }
                write_string(self.out, option.as_bytes(), self.mode.utf8);
            }
            self.out.push(b')');
        }
        if let Some(name) = entry.old_name {
            if !entry.child_info.is_empty() {
                self.out.push(b' ');
            }
            self.out.extend_from_slice(b"\"OLDNAME\" (");
            write_mailbox(self.out, name.as_str(), self.mode);
            self.out.push(b')');
        }
        self.out.push(b')');
    }

    /// NAMESPACE (RFC 9051, 7.3.4); an empty class is NIL. No space stands between namespaces of a class: Thunderbird stumbles over it.
    pub fn namespace(&mut self, personal: &[Namespace<'_>], others: &[Namespace<'_>], shared: &[Namespace<'_>]) {
        self.out.extend_from_slice(b"* NAMESPACE");
        for class in [personal, others, shared] {
            if class.is_empty() {
                self.out.extend_from_slice(b" NIL");
                continue;
            }
            self.out.extend_from_slice(b" (");
            for namespace in class {
                self.out.push(b'(');
                let prefix = encode_name(namespace.prefix, self.mode);
                write_string(self.out, prefix.as_bytes(), self.mode.utf8);
                self.out.push(b' ');
                self.separator(namespace.separator);
                self.out.push(b')');
            }
            self.out.push(b')');
        }
        self.end_line();
    }

    fn separator(&mut self, separator: Option<char>) {
        match separator {
            Some(char) => write_string(self.out, char.encode_utf8(&mut [0; 4]).as_bytes(), self.mode.utf8),
            None => self.out.extend_from_slice(b"NIL"),
        }
    }
}

/// Writes a mailbox's name as this session reads it: UTF-8, or modified UTF-7 (RFC 3501, 5.1.3).
pub(super) fn write_mailbox(out: &mut Vec<u8>, name: &str, mode: Mode) {
    write_astring(out, encode_name(name, mode).as_bytes(), mode.utf8);
}

fn encode_name(name: &str, mode: Mode) -> std::borrow::Cow<'_, str> {
    if mode.utf8 { name.into() } else { encode_utf7(name) }
}
