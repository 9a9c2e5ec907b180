//! The table of formats.

use std::path::PathBuf;

use paquebot_types::{MailboxName, SpecialUse, UidValidity};

use crate::cyrus::Cyrus;
use crate::error::FormatError;
use crate::mailbox::{Annotation, OpenMailbox};
use crate::maildir::Maildir;
use crate::mbox::{Mbox, Mmdf};
use crate::mbx::Mbx;
use crate::mix::Mix;

/// Every format, in the order in which an unknown store is tried: an exact magic before a likely one.
pub static DRIVERS: &[&dyn Driver] = &[&Cyrus, &Maildir, &Mbx, &Mix, &Mmdf, &Mbox];

/// The driver of this name: `mbox`, `mmdf`, `mbx`, `mix`, `maildir`, `cyrus`.
pub fn driver(name: &str) -> Option<&'static dyn Driver> {
    DRIVERS.iter().copied().find(|driver| driver.name() == name)
}

/// The driver of the mailboxes below `root`: of the first that recognises one.
pub fn recognise(root: &Root) -> Result<Option<&'static dyn Driver>, FormatError> {
    for driver in DRIVERS {
        if driver.recognises(root)? {
            return Ok(Some(*driver));
        }
    }
    Ok(None)
}

/// Where the mailboxes of one user lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// The directory of the mailboxes; a file where one mailbox is meant.
    pub directory: PathBuf,
    /// Where INBOX lies, if not where the format has it: `/var/mail/%n`.
    pub inbox: Option<PathBuf>,
    /// Whose the mailboxes are on this machine: files are made with it, and helper processes run as it. `None`: the server's own user.
    pub owner: Option<Owner>,
    /// Whose mailboxes are meant, by the name that this user has in the store, where one store holds those of many, as Cyrus's does. `None`: of
    /// its only user.
    pub user: Option<String>,
}

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
}

/// How a mailbox is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is written, no session is taken over: EXAMINE, and a mailbox that is to be imported.
    Read,
    /// Changes will be made. Where the format has one session this takes it over; where it cannot be had, [`crate::State::read_only`] says why.
    Write,
}

/// How many sessions can have one mailbox open for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// A new one takes over from the old one (the kiss of death).
    One,
    Many,
}

/// Where a mailbox's inferiors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// A mailbox is a file, and a directory beside it is no mailbox: `\NoInferiors`.
    None,
    /// A mailbox can have inferiors.
    Any,
}

/// What a format can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    pub sessions: Sessions,
    pub children: Children,
    /// Whether mailboxes are changed at all, or only read.
    pub writes: bool,
    /// Keywords in one mailbox, at most.
    pub keywords_max: usize,
    /// Octets in a keyword, at most.
    pub keyword_bytes_max: usize,
    /// Whether the zone of an internal date is kept; without it dates come back in UTC.
    pub keeps_zone: bool,
    /// Whether NUL octets are kept.
    pub keeps_nul: bool,
    /// Whether every octet comes back as it was appended; false where lines are quoted or line ends changed.
    pub keeps_octets: bool,
    /// Whether the format keeps mod-sequences of its own.
    pub keeps_modseq: bool,
}

/// A name below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: MailboxName,
    /// Whether there is a mailbox, or only a level above others.
    pub selectable: bool,
    pub subscribed: bool,
    /// What the user has it for, where the format keeps that (RFC 6154).
    pub special_use: Option<SpecialUse>,
}

/// One format.
pub trait Driver: Send + Sync {
    /// As it stands in the configuration.
    fn name(&self) -> &'static str;

    fn abilities(&self) -> &'static Abilities;

    /// Whether what lies at the root is of this format. A mailbox without octets belongs to none.
    fn recognises(&self, root: &Root) -> Result<bool, FormatError>;

    /// Every name, sorted; what is of another format is left out. Names on disk that are no mailbox names are told in the log, once.
    fn list(&self, root: &Root) -> Result<Vec<Found>, FormatError>;

    fn open(&self, root: &Root, name: &MailboxName, access: Access) -> Result<Box<dyn OpenMailbox>, FormatError>;

    /// Makes a mailbox without messages, and the levels above it.
    fn create(&self, root: &Root, name: &MailboxName, validity: UidValidity) -> Result<(), FormatError>;

    /// Removes a mailbox with its messages. Its inferiors stay.
    fn delete(&self, root: &Root, name: &MailboxName) -> Result<(), FormatError>;

    /// Gives a mailbox, and its inferiors, another name. INBOX's messages move, and INBOX stays (RFC 9051, 6.3.6).
    fn rename(&self, root: &Root, from: &MailboxName, to: &MailboxName) -> Result<(), FormatError>;

    /// Subscribes to a name, or ends that.
    fn subscribe(&self, root: &Root, name: &MailboxName, subscribed: bool) -> Result<(), FormatError>;

    /// What is noted at a mailbox (RFC 5464): by entry, what all see before what only the user does. Empty where the format keeps no notes.
    fn annotations(&self, _root: &Root, _name: &MailboxName) -> Result<Vec<Annotation>, FormatError> {
        Ok(Vec::new())
    }
}
