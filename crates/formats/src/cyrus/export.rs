//! Writing a store that a real Cyrus takes over with every UID as it was.
//!
//! An [`Export`] writes one user's mailboxes: the message files with their dates, `cyrus.header` and `cyrus.index` of each mailbox, the user's
//! subscriptions, and a list of the mailboxes for the server's database, which only the server writes. On the server, while it runs or not, as its user:
//!
//! ```text
//! ctl_mboxlist -u < mailboxes.json        # mailboxes.txt before 3.6
//! reconstruct -r user/alice               # user.alice without unixhierarchysep
//! quota -f
//! ```
//!
//! `reconstruct` parses the messages for its cache; "found - adding" would mean that an index was not taken.
//! UIDs, flags, keywords and dates stay what the records say. `reconstruct` may be left out: the server then parses a message when it first needs to,
//! and mod-sequences stay too, of which `reconstruct` gives new ones to all messages.

mod files;
mod mailbox;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use paquebot_protocol::encode_utf7;
use paquebot_types::{MailboxName, ModSeq, SpecialUse, Uid, UidValidity};

use super::database;
use super::index::Version;
use super::name::{Internal, Spread, by_id};
use crate::clock;
use crate::driver::Owner;
use crate::error::{FormatError, failed};
use crate::mailbox::Annotation;
use files::Files;
pub use mailbox::MailboxExport;

/// An internal name, at most.
const NAME_BYTES_MAX: usize = 490;
/// What a user may do with the own mailboxes.
const OWN_RIGHTS: &str = "lrswipkxtecdan";

/// The server that the store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 2.4.
    V2_4,
    /// 2.5 and 3.0.
    V2_5,
    /// 3.4.
    V3_4,
    /// 3.6 and later.
    V3_6,
}

/// How the server names directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directories {
    /// By the mailbox's unique id: what 3.6 does, and no release before.
    ById,
    /// By the mailbox's name.
    ByName,
    /// The same below a letter: `hashimapspool`.
    Hashed,
    /// The same below a sum of the name: `hashimapspool` and `fulldirhash`.
    FullyHashed,
}

/// Where a store is written, and for whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The partition, and its name on the server.
    pub spool: PathBuf,
    pub partition: String,
    /// The configuration directory, where `mailboxes.json` or `mailboxes.txt` is written too.
    pub configuration: PathBuf,
    pub user: String,
    pub release: Release,
    pub directories: Directories,
    /// To whom files are given. `None`: to whom this process belongs.
    pub owner: Option<Owner>,
}

/// A mailbox that is to be written.
#[derive(Debug, Clone)]
pub struct NewMailbox {
    /// `INBOX`, and all others at the top or below `INBOX`: to the server it is one.
    pub name: MailboxName,
    pub uid_validity: UidValidity,
    /// Above every UID that there ever was.
    pub uid_next: Option<Uid>,
    /// The highest mod-sequence that clients may know.
    pub highest_modseq: Option<ModSeq>,
    pub subscribed: bool,
    pub special_use: Option<SpecialUse>,
    /// What is noted at the mailbox.
    pub annotations: Vec<Annotation>,
}

/// What could not be kept as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub mailbox: MailboxName,
    /// `None`: of the mailbox.
    pub uid: Option<Uid>,
    pub what: &'static str,
}

/// A store that is being written.
#[derive(Debug)]
pub struct Export {
    target: Target,
    inbox: Internal,
    mailboxes: BTreeMap<String, Listed>,
    subscriptions: Vec<Internal>,
    notes: BTreeMap<Vec<u8>, Vec<u8>>,
    lost: Vec<Lost>,
}

#[derive(Debug)]
struct Listed {
    unique_id: String,
    uid_validity: UidValidity,
}

impl Export {
    /// Begins a store. Nothing is written yet.
    pub fn new(target: Target) -> Result<Self, FormatError> {
        let inbox = Internal::inbox(&target.user);
        let inbox =
            inbox.ok_or_else(|| FormatError::CannotHold(format!("{} cannot be a user of Cyrus", target.user)))?;
        if target.directories == Directories::ById && target.release != Release::V3_6 {
            let text = "only Cyrus 3.6 and later has directories by unique id".to_owned();
            return Err(FormatError::CannotHold(text));
        }
        let (mailboxes, notes) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { target, inbox, mailboxes, subscriptions: Vec::new(), notes, lost: Vec::new() })
    }

    /// Begins a mailbox. One that the target has already is an error.
    pub fn mailbox(&mut self, mailbox: &NewMailbox) -> Result<MailboxExport<'_>, FormatError> {
        let internal = self.internal(&mailbox.name)?;
        let unique_id = self.unique_id(&internal);
        let directory = match self.spread() {
            Some(spread) => spread.path(&internal),
            None => by_id(&unique_id).unwrap_or_default(),
        };
        let directory = self.target.spool.join(directory);
        if directory.join("cyrus.index").exists() || directory.join("cyrus.header").exists() {
            return Err(FormatError::Exists(mailbox.name.clone()));
        }
        let files = Files { owner: self.target.owner };
        files.directory(&self.target.spool, &directory)?;
        let version = self.version()?;
        Ok(MailboxExport::new(self, mailbox.clone(), internal, unique_id, directory, version))
    }

    /// Ends the store: the user's own files, and the list for the server. Gives what could not be kept.
    pub fn finish(self) -> Result<Vec<Lost>, FormatError> {
        let files = Files { owner: self.target.owner };
        let configuration = self.target.configuration.clone();
        std::fs::create_dir_all(&configuration).map_err(|source| failed("make", &configuration, source))?;
        if !self.subscriptions.is_empty() {
            let path = configuration.join(self.user_file("sub"));
            if let Some(above) = path.parent() {
                files.directory(&configuration, above)?;
            }
            files.write(&path, self.subscribed().as_bytes())?;
        }
        if !self.notes.is_empty() {
            files.write(&self.annotations(), &database::write_twoskip(&self.notes))?;
        }
        match self.target.release {
            Release::V3_6 => files.write(&configuration.join("mailboxes.json"), self.json().as_bytes())?,
            _ => files.write(&configuration.join("mailboxes.txt"), self.lines().as_bytes())?,
        }
        Ok(self.lost)
    }

    fn annotations(&self) -> PathBuf {
        self.target.configuration.join("annotations.db")
    }

    fn version(&self) -> Result<Version, FormatError> {
        let minor = match self.target.release {
            Release::V2_4 => 12,
            Release::V2_5 => 13,
            Release::V3_4 | Release::V3_6 => 17,
        };
        Version::of(minor).ok_or_else(|| FormatError::CannotHold(format!("index version {minor} cannot be written")))
    }

    fn spread(&self) -> Option<Spread> {
        match self.target.directories {
            Directories::ById => None,
            Directories::ByName => Some(Spread::Plain),
            Directories::Hashed => Some(Spread::Letter),
            Directories::FullyHashed => Some(Spread::Sum),
        }
    }

    /// The type of a mailbox in 3.6: of mail, with directories by name or not.
    fn kind(&self) -> &'static str {
        if self.target.directories == Directories::ById { "e" } else { "el" }
    }

    fn internal(&self, name: &MailboxName) -> Result<Internal, FormatError> {
        if name.is_inbox() {
            return Ok(self.inbox.clone());
        }
        let refused = |why: &str| FormatError::CannotHold(format!("{name} cannot be a mailbox of Cyrus: {why}"));
        let text = name.as_str();
        let mut whole = self.inbox.name.clone();
        for level in text.strip_prefix("INBOX/").unwrap_or(text).split(MailboxName::SEPARATOR) {
            if level.contains(['!', '"', '%', ';', '<', '>', '\\', '`', '{', '|', '}', '^']) {
                return Err(refused("a letter of it is not allowed there"));
            }
            whole.push('.');
            whole.push_str(&encode_utf7(level).replace('.', "^"));
        }
        if whole.len() > NAME_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let internal = Internal::parse(&whole).ok_or_else(|| refused("it has an empty level"))?;
        Ok(Internal { domain: self.inbox.domain.clone(), ..internal })
    }

    /// Made of the mailbox's name, so that an export that is done again has the same.
    fn unique_id(&self, internal: &Internal) -> String {
        const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let hash = blake3::hash(format!("paquebot cyrus export\0{}", internal.whole()).as_bytes());
        hash.as_bytes().iter().take(24).map(|octet| char::from(LETTERS[usize::from(octet % 36)])).collect()
    }

    fn user_file(&self, kind: &str) -> PathBuf {
        match self.spread() {
            Some(spread) => spread.user_file(&self.inbox, kind),
            None => Path::new("user")
                .join(by_id(&self.unique_id(&self.inbox)).unwrap_or_default())
                .join(format!("{kind}.db")),
        }
    }

    /// A flat database of subscriptions.
    fn subscribed(&self) -> String {
        let mut keys: Vec<String> = self
            .subscriptions
            .iter()
            .map(|internal| match self.target.release {
                Release::V3_6 => {
                    let below = internal.below(&self.inbox).unwrap_or_default();
                    let below = if below.is_empty() { String::new() } else { format!(".{below}") };
                    format!("NINBOX{}", below.replace('.', "\x1f").replace('^', "."))
                }
                _ => internal.whole(),
            })
            .collect();
        if self.target.release == Release::V3_6 {
            keys.push("\x1fVER\x1f".to_owned());
        }
        keys.sort();
        keys.iter().map(|key| format!("{key}\t{}\n", if key.starts_with('\x1f') { "2" } else { "" })).collect()
    }

    /// What `ctl_mboxlist -u` reads in 3.6.
    fn json(&self) -> String {
        let now = clock::seconds_32();
        let entry = |(name, listed): (&String, &Listed)| {
            format!(
                "{}: {{\"name\": {}, \"mtime\": \"{now}\", \"uidvalidity\": \"{}\", \"createdmodseq\": \"1\", \"foldermodseq\": \"1\", \
                 \"mbtype\": \"{}\", \"partition\": {}, \"acl\": {{{}: \"{OWN_RIGHTS}\"}}, \"uniqueid\": \"{}\", \"name_history\": []}}",
                quoted(name),
                quoted(name),
                listed.uid_validity,
                self.kind(),
                quoted(&self.target.partition),
                quoted(&self.target.user),
                listed.unique_id
            )
        };
        format!("{{\n{}\n}}\n", self.mailboxes.iter().map(entry).collect::<Vec<_>>().join(",\n"))
    }

    /// The same before 3.6.
    fn lines(&self) -> String {
        let line =
            |name: &String| format!("{name}\t0 {} {}\t{OWN_RIGHTS}\t\n", self.target.partition, self.target.user);
        self.mailboxes.keys().map(line).collect()
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
