//! Writing a store that a real Cyrus takes over with every UID as it was.
//!
//! An [`Export`] writes one user's mailboxes: the message files with their dates, `cyrus.header` and `cyrus.index` of each mailbox, the user's
//! subscriptions, and a list of the mailboxes for the server's database, which only the server writes. On the server, while it runs or not, as its user:
//!
//! ```text
//! ctl_mboxlist -u < mailboxes.json        # mailboxes.txt before 3.6
//! reconstruct -r user.alice               # parses the messages for its cache; "found - adding" would mean that an index was not taken
//! quota -f
//! ```
//!
//! What the records say (UIDs, flags, keywords, dates, mod-sequences) is not computed anew by that.

mod files;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use paquebot_protocol::encode_utf7;
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, ModSeq, SpecialUse, Uid, UidValidity};
use sha1::{Digest as _, Sha1};

use super::acl::Acl;
use super::index::{self, NewHeader, NewRecord, Version};
use super::name::{Internal, Spread, by_id};
use super::{annotation, database, header};
use crate::driver::Owner;
use crate::error::FormatError;
use crate::mailbox::Arriving;
use files::Files;

/// An internal name, at most.
const NAME_BYTES_MAX: usize = 490;
/// What a user may do with the own mailboxes.
const OWN_RIGHTS: &str = "lrswipkxtecdan";
/// A message is copied in pieces of this size.
const PIECE: usize = 256 << 10;

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
        Ok(MailboxExport {
            internal,
            unique_id,
            directory,
            files,
            mailbox: mailbox.clone(),
            keywords: Vec::new(),
            records: Vec::new(),
            version: self.version()?,
            count: NewHeader {
                records: 0,
                last_uid: 0,
                uid_validity: mailbox.uid_validity.get(),
                recent_uid: 0,
                highest_modseq: 1,
                octets: 0,
                last_append: 0,
                counts: [0; 4],
                header_file_crc: 0,
            },
            export: self,
        })
    }

    /// Ends the store: the user's own files, and the list for the server. Gives what could not be kept.
    pub fn finish(mut self) -> Result<Vec<Lost>, FormatError> {
        let files = Files { owner: self.target.owner };
        let configuration = self.target.configuration.clone();
        std::fs::create_dir_all(&configuration).map_err(|source| files::failed("make", &configuration, source))?;
        if !self.subscriptions.is_empty() {
            let path = configuration.join(self.user_file("sub"));
            if let Some(above) = path.parent() {
                files.directory(&configuration, above)?;
            }
            files.write(&path, self.subscribed().as_bytes())?;
        }
        if !self.notes.is_empty() {
            // The server's own notes are in it too: only a new server has none.
            let path = configuration.join("annotations.db");
            if path.exists() {
                let what = "its special use: the server has notes already, set it through IMAP";
                self.lost.push(Lost { mailbox: MailboxName::inbox(), uid: None, what });
            } else {
                files.write(&path, &database::write_twoskip(&self.notes))?;
            }
        }
        match self.target.release {
            Release::V3_6 => files.write(&configuration.join("mailboxes.json"), self.json().as_bytes())?,
            _ => files.write(&configuration.join("mailboxes.txt"), self.lines().as_bytes())?,
        }
        Ok(self.lost)
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
            Some(spread) => {
                let mut path = spread.user_file(&self.inbox).into_os_string();
                path.push(format!(".{kind}"));
                path.into()
            }
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
        let now = now();
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

/// A mailbox that is being written. Without [`Self::finish`] the server does not see it.
#[derive(Debug)]
pub struct MailboxExport<'a> {
    export: &'a mut Export,
    internal: Internal,
    unique_id: String,
    directory: PathBuf,
    files: Files,
    mailbox: NewMailbox,
    keywords: Vec<Keyword>,
    records: Vec<u8>,
    version: Version,
    count: NewHeader,
}

impl MailboxExport<'_> {
    /// Writes a message, under its own UID where it has one, which must be above those before. Gives the UID.
    pub fn append(&mut self, message: &mut Arriving<'_>, modseq: Option<ModSeq>) -> Result<Uid, FormatError> {
        let next = self.count.last_uid.checked_add(1).and_then(Uid::new);
        let uid = message.uid.or(next).filter(|uid| uid.get() > self.count.last_uid);
        let uid = uid.ok_or_else(|| self.refused("a message's UID is not above those before it"))?;
        let keywords = self.keyword_bits(&message.keywords)?;
        let size = u32::try_from(message.body.len()).map_err(|_| self.refused("a message has 4 GiB or more"))?;
        let unix_seconds = self.seconds(uid, message.internal_date);
        let path = self.directory.join(format!("{uid}."));
        let (guid, header_size) = self.write_message(&path, message, size)?;
        let modseq = modseq.map_or(self.count.highest_modseq.saturating_add(1), |modseq| modseq.0.max(1));
        let record = NewRecord {
            uid: uid.get(),
            flags: message.flags,
            keywords,
            unix_seconds,
            size,
            header_size,
            modseq,
            guid,
            now: now(),
        };
        self.records.extend_from_slice(&index::write_record(self.version, &record));
        let count = &mut self.count;
        let is = |flag: Flags| u32::from(message.flags.contains(flag));
        count.records += 1;
        count.last_uid = uid.get();
        count.octets += u64::from(size);
        count.highest_modseq = count.highest_modseq.max(modseq);
        count.last_append = record.now;
        for (sum, one) in count.counts.iter_mut().zip([
            is(Flags::DELETED),
            is(Flags::ANSWERED),
            is(Flags::FLAGGED),
            1 - is(Flags::SEEN),
        ]) {
            *sum += one;
        }
        Ok(uid)
    }

    /// Ends the mailbox: from here on it is there, and on disk.
    pub fn finish(mut self) -> Result<(), FormatError> {
        let (name, unique_id) = (self.internal.whole(), self.unique_id.clone());
        let keywords: Vec<String> = self.keywords.iter().map(ToString::to_string).collect();
        let acl = Acl(vec![(self.export.target.user.clone(), OWN_RIGHTS.to_owned())]);
        let header = match self.export.target.release {
            Release::V3_6 => header::write_new(self.export.kind(), &name, (&unique_id, None), &keywords, &acl),
            _ => header::write_old(&unique_id, None, &keywords, &acl),
        };
        if let Some(next) = self.mailbox.uid_next {
            self.count.last_uid = self.count.last_uid.max(next.get() - 1);
        }
        // Whoever was told of a message before is not told that it is recent.
        self.count.recent_uid = self.count.last_uid;
        // Above each message's, and what clients may have heard of.
        self.count.highest_modseq =
            (self.count.highest_modseq.saturating_add(1)).max(self.mailbox.highest_modseq.map_or(0, |modseq| modseq.0));
        self.count.header_file_crc = crc32fast::hash(&header);
        let index = [index::write_header(self.version, &self.count), std::mem::take(&mut self.records)].concat();
        self.files.write(&self.directory.join("cyrus.header"), &header)?;
        // The generation that the index has, and no record.
        self.files.write(&self.directory.join("cyrus.cache"), &[0; 4])?;
        self.files.write(&self.directory.join("cyrus.index"), &index)?;
        self.files.flush(&self.directory)?;
        let subject = if self.export.target.release == Release::V2_4 { name.clone() } else { unique_id.clone() };
        if let Some(special_use) = self.mailbox.special_use {
            let (key, value) = annotation::own_special_use(&subject, special_use);
            self.export.notes.insert(key, value);
        }
        if self.mailbox.subscribed {
            self.export.subscriptions.push(self.internal.clone());
        }
        self.export.mailboxes.insert(name, Listed { unique_id, uid_validity: self.mailbox.uid_validity });
        Ok(())
    }

    /// Copies a message into its file; gives its SHA-1, and the length of its header with the blank line.
    fn write_message(
        &self,
        path: &Path,
        message: &mut Arriving<'_>,
        size: u32,
    ) -> Result<([u8; 20], u32), FormatError> {
        use std::io::Write as _;
        let failed = |doing: &'static str| move |source| files::failed(doing, path, source);
        let mut file = File::create(path).map_err(failed("make"))?;
        let (mut sum, mut header) = (Sha1::new(), HeaderEnd::default());
        let mut piece = vec![0; PIECE.min(size.max(1) as usize)];
        let mut at = 0;
        while at < u64::from(size) {
            let count = message.body.read_at(at, &mut piece).map_err(failed("read a message for"))?;
            let octets = piece.get(..count).filter(|octets| !octets.is_empty());
            let octets = octets.ok_or_else(|| self.refused("a message ends before its length"))?;
            file.write_all(octets).map_err(failed("write"))?;
            sum.update(octets);
            header.take(octets);
            at += count as u64;
        }
        let modified =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.seconds_of(message.internal_date).into());
        file.set_modified(modified).map_err(failed("set the date of"))?;
        self.files.own(path)?;
        Ok((sum.finalize().into(), header.length.unwrap_or(size)))
    }

    fn keyword_bits(&mut self, keywords: &[Keyword]) -> Result<u128, FormatError> {
        let mut bits = 0;
        for keyword in keywords {
            let place = match self.keywords.iter().position(|known| known == keyword) {
                Some(place) => place,
                None if self.keywords.len() == header::KEYWORDS => {
                    return Err(self.refused("it has more than 128 keywords"));
                }
                None => {
                    self.keywords.push(keyword.clone());
                    self.keywords.len() - 1
                }
            };
            bits |= 1 << place;
        }
        Ok(bits)
    }

    /// The date as 32 bits hold it, from 1970 to 2106.
    fn seconds_of(&self, date: InternalDate) -> u32 {
        u32::try_from(date.unix_seconds().max(0)).unwrap_or(u32::MAX)
    }

    fn seconds(&mut self, uid: Uid, date: InternalDate) -> u32 {
        let seconds = self.seconds_of(date);
        if i64::from(seconds) != date.unix_seconds() {
            let what = "its date: the format holds those of 1970 to 2106";
            self.export.lost.push(Lost { mailbox: self.mailbox.name.clone(), uid: Some(uid), what });
        }
        seconds
    }

    fn refused(&self, why: &str) -> FormatError {
        FormatError::CannotHold(format!("{}: {why}", self.mailbox.name))
    }
}

/// Looks for the blank line after a header, in pieces.
#[derive(Debug, Default)]
struct HeaderEnd {
    seen: u32,
    /// Octets of `CR LF CR LF` that were just there; a message that begins with a blank line has no header.
    matched: usize,
    length: Option<u32>,
}

impl HeaderEnd {
    fn take(&mut self, octets: &[u8]) {
        for octet in octets {
            if self.length.is_some() {
                return;
            }
            if self.seen == 0 {
                self.matched = 2;
            }
            self.seen = self.seen.saturating_add(1);
            self.matched = match (self.matched, octet) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => self.matched + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if self.matched == 4 {
                self.length = Some(self.seen);
            }
        }
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

fn now() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_with_its_blank_line() {
        let end = |text: &str| {
            let (mut whole, mut pieces) = (HeaderEnd::default(), HeaderEnd::default());
            whole.take(text.as_bytes());
            text.bytes().for_each(|octet| pieces.take(&[octet]));
            assert_eq!(whole.length, pieces.length);
            whole.length
        };
        assert_eq!(end("a: b\r\n\r\nbody"), Some(8));
        assert_eq!(end("\r\nbody"), Some(2));
        assert_eq!(end("a: b\r\r\n\r\n\r\n"), Some(9));
        assert_eq!(end("a: b\r\n"), None);
        assert_eq!(end(""), None);
    }
}
