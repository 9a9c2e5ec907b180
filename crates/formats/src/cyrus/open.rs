//! An open mailbox, and keeping up with what Cyrus does to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet};
use sha1::{Digest as _, Sha1};

use super::account::Account;
use super::annotation::{self, Reader};
use super::index::Guid;
use super::report;
use super::snapshot::{Snapshot, Source, Stamps, is_absent};
use super::{READ_ONLY, read_only};
use crate::driver::Access;
use crate::error::FormatError;
use crate::mailbox::{Annotation, Arriving, Body, Changes, Expunged, Message, OpenMailbox, State};

#[derive(Debug)]
pub struct Mailbox {
    name: MailboxName,
    user: String,
    source: Source,
    state: State,
    messages: Vec<Message>,
    /// Of each message.
    guids: Vec<Guid>,
    expunged: Vec<Message>,
    stamps: Stamps,
    /// Messages that are gone and that we still show.
    ghosts: UidSet,
}

impl Mailbox {
    pub fn open(account: Account, name: &MailboxName, access: Access) -> Result<Self, FormatError> {
        let (entry, place) = account.find(name)?;
        let user = entry.internal.user().unwrap_or_default();
        let locks = account.store.user_locks(&user).chain(place.locks.iter().cloned()).collect();
        let source = Source {
            locks,
            is_owner: account.owns(&entry.internal),
            seen: account.seen_file(),
            anyones_seen: account.anyones_seen_file(),
            uid_validity: entry.uid_validity,
            unique_id: entry.unique_id,
            place,
        };
        let user = account.user.clone();
        // It has the lock of the list of mailboxes.
        drop(account);
        let snapshot = source.read()?.ok_or_else(|| FormatError::NoMailbox(name.clone()))?;
        let reason = match access {
            Access::Read => "it is open for reading",
            Access::Write => READ_ONLY,
        };
        Ok(Self {
            name: name.clone(),
            user,
            state: State {
                uid_validity: snapshot.uid_validity,
                uid_next: snapshot.uid_next,
                keywords: snapshot.keywords,
                highest_modseq: snapshot.highest_modseq,
                read_only: Some(reason.to_owned()),
            },
            source: Source { unique_id: snapshot.unique_id, ..source },
            messages: snapshot.messages,
            guids: snapshot.guids,
            expunged: snapshot.expunged,
            stamps: snapshot.stamps,
            ghosts: UidSet::new(),
        })
    }

    fn look(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        let mut changes = Changes::default();
        if self.source.stamps()? != self.stamps {
            let snapshot = self.source.read()?.ok_or_else(|| FormatError::NoMailbox(self.name.clone()))?;
            self.take(snapshot, &mut changes);
        }
        if expunged == Expunged::Leave && !self.ghosts.is_empty() {
            let ghosts = std::mem::take(&mut self.ghosts);
            let messages = std::mem::take(&mut self.messages).into_iter().zip(std::mem::take(&mut self.guids));
            (self.messages, self.guids) = messages.filter(|(message, _)| !ghosts.contains(message.uid)).unzip();
            changes.expunged = ghosts;
        }
        Ok(changes)
    }

    /// Replaces what we knew; messages that are gone stay as ghosts.
    fn take(&mut self, snapshot: Snapshot, changes: &mut Changes) {
        let same_names = snapshot.keywords.starts_with(&self.state.keywords);
        if snapshot.uid_validity != self.state.uid_validity {
            changes.all = true;
            self.messages.clear();
            self.guids.clear();
            self.ghosts = UidSet::new();
        }
        let (mut flags, mut arrived, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut merged: Vec<(Message, Guid)> = Vec::with_capacity(snapshot.messages.len());
        let guids = std::mem::take(&mut self.guids);
        let mut old = std::mem::take(&mut self.messages).into_iter().zip(guids).peekable();
        for (message, guid) in snapshot.messages.into_iter().zip(snapshot.guids) {
            while let Some(ghost) = old.next_if(|(known, _)| known.uid < message.uid) {
                gone.push(ghost.0.uid);
                merged.push(ghost);
            }
            match old.next_if(|(known, _)| known.uid == message.uid) {
                Some((known, _)) => {
                    if !same_names || (known.flags, known.keywords) != (message.flags, message.keywords) {
                        flags.push(message.uid);
                    }
                    // Who was told first is not told again that it is not recent.
                    merged.push((Message { recent: known.recent, ..message }, guid));
                }
                None => {
                    arrived.push(message.uid);
                    merged.push((message, guid));
                }
            }
        }
        for ghost in old {
            gone.push(ghost.0.uid);
            merged.push(ghost);
        }
        self.ghosts = gone.into_iter().collect();
        (changes.flags, changes.arrived) = (flags.into_iter().collect(), arrived.into_iter().collect());
        (self.messages, self.guids) = merged.into_iter().unzip();
        self.expunged = snapshot.expunged;
        self.stamps = snapshot.stamps;
        self.state.uid_validity = snapshot.uid_validity;
        self.state.uid_next = snapshot.uid_next;
        self.state.keywords = snapshot.keywords;
        self.state.highest_modseq = snapshot.highest_modseq;
        self.source.unique_id = snapshot.unique_id;
    }

    /// A message with its SHA-1.
    fn message(&self, uid: Uid) -> Option<(&Message, Guid)> {
        let find = |messages: &'_ [Message]| messages.binary_search_by_key(&uid, |message| message.uid).ok();
        match find(&self.messages) {
            Some(place) => Some((self.messages.get(place)?, self.guids.get(place).copied().unwrap_or_default())),
            None => find(&self.expunged).and_then(|place| Some((self.expunged.get(place)?, Guid::default()))),
        }
    }
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
        let (message, guid) = self.message(uid).ok_or(FormatError::NoMessage(uid))?;
        let size = message.size.unwrap_or(0);
        let name = format!("{uid}.");
        let place = &self.source.place;
        let mut path = place.messages.join(&name);
        let mut opened = File::open(&path);
        if let (Err(error), Some(archived)) = (&opened, &place.archived)
            && is_absent(error)
        {
            path = archived.join(&name);
            opened = File::open(&path);
        }
        let damaged = |what: &str| FormatError::Damaged { path: path.clone(), offset: 0, what: what.into() };
        let file = match opened {
            // Cyrus removes the file of a message that we may not have let go yet.
            Err(error) if is_absent(&error) && self.ghosts.contains(uid) => return Err(FormatError::NoMessage(uid)),
            Err(error) if is_absent(&error) => return Err(damaged("the message's file is missing")),
            opened => opened.map_err(|source| FormatError::Io { doing: "open", path: path.clone(), source })?,
        };
        match file.metadata() {
            Ok(found) if found.is_file() && found.len() == size => {
                Ok(Box::new(Text { file, size, path, check: Check::new(guid) }))
            }
            Ok(_) => Err(damaged("the message's file is not as long as the index says")),
            Err(source) => Err(FormatError::Io { doing: "look at", path: path.clone(), source }),
        }
    }

    fn store(&mut self, _changes: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError> {
        Err(read_only())
    }

    fn append(&mut self, _messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        Err(read_only())
    }

    fn expunge(&mut self, _uids: &UidSet) -> Result<Changes, FormatError> {
        Err(read_only())
    }

    fn expunged(&self) -> &[Message] {
        &self.expunged
    }

    fn annotations(&mut self, uid: Uid) -> Result<Vec<Annotation>, FormatError> {
        self.message(uid).ok_or(FormatError::NoMessage(uid))?;
        let reader = Reader { user: &self.user, is_owner: self.source.is_owner };
        annotation::read(&self.source.place.annotations, &uid.to_string(), reader)
    }

    fn watched(&self) -> Vec<&Path> {
        vec![&self.source.place.index, &self.source.place.header, &self.source.seen]
    }
}

/// A message's file, which Cyrus never changes: at most its name goes away.
struct Text {
    file: File,
    size: u64,
    path: PathBuf,
    check: Option<Check>,
}

impl Body for Text {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.within(offset, buffer.len());
        let (wanted, _) = buffer.split_at_mut(count);
        self.file.read_exact_at(wanted, offset)?;
        if self.check.as_mut().and_then(|check| check.take(offset, wanted, self.size)) == Some(false) {
            // It is given all the same: there is no other, and most of it may be right.
            report::damage(&self.path, 0, "the message is not the one that was appended: its SHA-1 is another");
        }
        Ok(count)
    }
}

/// Sums up a message that is read from the beginning to the end.
struct Check {
    guid: Guid,
    sum: Sha1,
    done: u64,
}

impl Check {
    /// `None`: there is nothing to compare with.
    fn new(guid: Guid) -> Option<Self> {
        (guid != Guid::default()).then(|| Self { guid, sum: Sha1::new(), done: 0 })
    }

    /// Whether the message is right, once it is read; octets that were read before, or beyond the next, tell nothing.
    fn take(&mut self, offset: u64, octets: &[u8], size: u64) -> Option<bool> {
        if offset != self.done || octets.is_empty() {
            return None;
        }
        self.sum.update(octets);
        self.done += octets.len() as u64;
        (self.done == size).then(|| self.sum.finalize_reset().as_slice() == self.guid)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_message_that_is_read_to_the_end_is_checked() {
        let text = b"Subject: x\r\n\r\n";
        let guid: Guid = Sha1::digest(text).into();
        let mut check = Check::new(guid).unwrap();
        assert_eq!(check.take(0, &text[..5], 14), None);
        assert_eq!(check.take(9, &text[9..], 14), None);
        assert_eq!(check.take(0, text, 14), None);
        assert_eq!(check.take(5, &text[5..], 14), Some(true));
        assert_eq!(check.take(14, b"", 14), None);
        let mut other = Check::new(guid).unwrap();
        assert_eq!(other.take(0, b"Subject: y\r\n\r\n", 14), Some(false));
        assert!(Check::new(Guid::default()).is_none());
    }
}
