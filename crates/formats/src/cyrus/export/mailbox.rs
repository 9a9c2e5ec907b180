//! One mailbox of an export.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use paquebot_types::{Flags, InternalDate, Keyword, ModSeq, Uid};
use sha1::{Digest as _, Sha1};

use super::files::Files;
use super::{Export, Listed, Lost, NewMailbox, OWN_RIGHTS, Release};
use crate::clock;
use crate::cyrus::acl::Acl;
use crate::cyrus::index::{self, NewHeader, NewRecord, Version};
use crate::cyrus::name::Internal;
use crate::cyrus::{annotation, header};
use crate::error::{FormatError, failed};
use crate::mailbox::{Annotation, Arriving};

/// A message is copied in pieces of this size.
const PIECE: usize = 256 << 10;

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

impl<'a> MailboxExport<'a> {
    pub(super) fn new(
        export: &'a mut Export,
        mailbox: NewMailbox,
        internal: Internal,
        unique_id: String,
        directory: PathBuf,
        version: Version,
    ) -> Self {
        let count = NewHeader {
            records: 0,
            last_uid: 0,
            uid_validity: mailbox.uid_validity.get(),
            recent_uid: 0,
            highest_modseq: 1,
            octets: 0,
            last_append: 0,
            counts: [0; 4],
            header_file_crc: 0,
        };
        let files = Files { owner: export.target.owner };
        let (keywords, records) = (Vec::new(), Vec::new());
        Self { export, internal, unique_id, directory, files, mailbox, keywords, records, version, count }
    }

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
            now: clock::seconds_32(),
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
        self.keep_notes();
        if self.mailbox.subscribed {
            self.export.subscriptions.push(self.internal.clone());
        }
        self.export.mailboxes.insert(name, Listed { unique_id, uid_validity: self.mailbox.uid_validity });
        Ok(())
    }

    /// What is noted at the mailbox, and what it is for, which is a note too. The server's database of notes is not changed: it is made where there is none.
    fn keep_notes(&mut self) {
        let special_use = self.mailbox.special_use.map(|special_use| Annotation {
            entry: "/specialuse".into(),
            shared: false,
            value: special_use.as_str().into(),
        });
        let notes: Vec<Annotation> =
            special_use.into_iter().chain(std::mem::take(&mut self.mailbox.annotations)).collect();
        let lost = match self.export.target.release {
            Release::V3_6 => "its special use and notes: the server has notes already, set them through IMAP",
            _ => "its special use and notes: set them through IMAP",
        };
        if self.export.target.release == Release::V3_6 && !self.export.annotations().exists() {
            self.export.notes.extend(notes.iter().map(|note| annotation::write(&self.unique_id, note)));
        } else if !notes.is_empty() {
            self.export.lost.push(Lost { mailbox: self.mailbox.name.clone(), uid: None, what: lost });
        }
    }

    /// Copies a message into its file; gives its SHA-1, and the length of its header with the blank line.
    fn write_message(
        &self,
        path: &Path,
        message: &mut Arriving<'_>,
        size: u32,
    ) -> Result<([u8; 20], u32), FormatError> {
        let failed = |doing: &'static str| move |source| failed(doing, path, source);
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
