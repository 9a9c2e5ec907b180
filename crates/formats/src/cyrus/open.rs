//! An open mailbox, and keeping up with what Cyrus does to it.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet};

use super::account::Account;
use super::annotation::{self, Reader};
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
            self.messages.retain(|message| !ghosts.contains(message.uid));
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
            self.ghosts = UidSet::new();
        }
        let (mut flags, mut arrived, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut merged = Vec::with_capacity(snapshot.messages.len());
        let mut old = std::mem::take(&mut self.messages).into_iter().peekable();
        for message in snapshot.messages {
            while let Some(ghost) = old.next_if(|known| known.uid < message.uid) {
                gone.push(ghost.uid);
                merged.push(ghost);
            }
            match old.peek().map_or(Ordering::Greater, |known| known.uid.cmp(&message.uid)) {
                Ordering::Equal => {
                    let known = old.next();
                    let is_same = |known: &Message| (known.flags, known.keywords) == (message.flags, message.keywords);
                    if !same_names || !known.as_ref().is_some_and(is_same) {
                        flags.push(message.uid);
                    }
                    // Who was told first is not told again that it is not recent.
                    merged.push(Message { recent: known.is_some_and(|known| known.recent), ..message });
                }
                _ => {
                    arrived.push(message.uid);
                    merged.push(message);
                }
            }
        }
        for ghost in old {
            gone.push(ghost.uid);
            merged.push(ghost);
        }
        self.ghosts = gone.into_iter().collect();
        (changes.flags, changes.arrived) = (flags.into_iter().collect(), arrived.into_iter().collect());
        self.messages = merged;
        self.expunged = snapshot.expunged;
        self.stamps = snapshot.stamps;
        self.state.uid_validity = snapshot.uid_validity;
        self.state.uid_next = snapshot.uid_next;
        self.state.keywords = snapshot.keywords;
        self.state.highest_modseq = snapshot.highest_modseq;
        self.source.unique_id = snapshot.unique_id;
    }

    fn message(&self, uid: Uid) -> Option<&Message> {
        let find = |messages: &'_ [Message]| messages.binary_search_by_key(&uid, |message| message.uid).ok();
        match find(&self.messages) {
            Some(place) => self.messages.get(place),
            None => find(&self.expunged).and_then(|place| self.expunged.get(place)),
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
        let size = self.message(uid).ok_or(FormatError::NoMessage(uid))?.size.unwrap_or(0);
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
            Ok(found) if found.is_file() && found.len() == size => Ok(Box::new(Text { file, size })),
            Ok(_) => Err(damaged("the message's file is not as long as the index says")),
            Err(source) => Err(FormatError::Io { doing: "look at", path, source }),
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

    fn give_up(&mut self) -> Result<(), FormatError> {
        // Nobody asks for a mailbox that many have.
        Ok(())
    }
}

/// A message's file, which Cyrus never changes: at most its name goes away.
struct Text {
    file: File,
    size: u64,
}

impl Body for Text {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let (wanted, _) = buffer.split_at_mut(count);
        self.file.read_exact_at(wanted, offset)?;
        Ok(count)
    }
}
