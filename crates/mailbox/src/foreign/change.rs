//! STORE, EXPUNGE and APPEND in a foreign mailbox.

use std::io;
use std::sync::Arc;

use paquebot_formats::{Access, Arriving, Body};
use paquebot_model::{FlagChange, Message, NewMessage, Outcome, Refusal, keyword_bits, keywords_of};
use paquebot_store::Store;
use paquebot_types::{Flags, Keyword, MailboxId, ModSeq, UidSet};

use super::open::{ForeignMailbox, anything};
use super::user::{User, refused};
use crate::error::{ChangeError, ServiceError};
use crate::incoming::read_body;
use crate::live::Live;

/// Which of the named messages EXPUNGE removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// Those that bear `\Deleted`.
    Deleted,
    All,
}

impl User {
    /// Changes a mailbox, in use or opened for it.
    fn change(
        self: &Arc<Self>,
        mailbox: MailboxId,
        change: impl FnOnce(&ForeignMailbox, &Live) -> Result<Outcome, ServiceError>,
    ) -> Result<Outcome, ChangeError> {
        let live = self.in_use_or_open(mailbox, Access::Write)?.ok_or(Refusal::NoSuchMailbox)?;
        let foreign = live.foreign().ok_or(Refusal::NoSuchMailbox)?;
        change(foreign, &live).map_err(|error| match error {
            ServiceError::Format(error) => refused(error),
            error => error.into(),
        })
    }

    /// The outcome is [`Outcome::Stored`].
    pub fn store(
        self: &Arc<Self>,
        mailbox: MailboxId,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Outcome, ChangeError> {
        self.change(mailbox, |foreign, live| foreign.store(live, uids, change, unchanged_since))
    }

    /// The outcome is [`Outcome::Expunged`].
    pub fn expunge(
        self: &Arc<Self>,
        mailbox: MailboxId,
        uids: &UidSet,
        which: Removed,
    ) -> Result<Outcome, ChangeError> {
        self.change(mailbox, |foreign, live| foreign.expunge(live, uids, which))
    }

    /// Appends all messages or none. The outcome is [`Outcome::Appended`].
    pub fn append(
        self: &Arc<Self>,
        store: &Store,
        mailbox: MailboxId,
        messages: Vec<(NewMessage, paquebot_log::Body)>,
    ) -> Result<Outcome, ChangeError> {
        self.change(mailbox, |foreign, live| foreign.append(live, store, messages))
    }
}

impl ForeignMailbox {
    fn store(
        &self,
        live: &Live,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Outcome, ServiceError> {
        let mut handle = self.ready_to_change(live)?;
        let current = live.current();
        let keywords = {
            let mut keywords = current.mailbox.keywords.clone();
            keywords
                .extend(change.keywords.iter().filter(|keyword| !current.mailbox.keywords.contains(keyword)).cloned());
            keywords
        };
        let named = keyword_bits(keywords.get(..paquebot_model::KEYWORDS_MAX).unwrap_or(&keywords), &change.keywords);
        let (mut modified, mut touched, mut changes) = (UidSet::new(), UidSet::new(), Vec::new());
        for message in messages_in(&current.messages, uids) {
            if unchanged_since.is_some_and(|limit| message.modseq > limit) {
                modified.insert(message.uid);
                continue;
            }
            let (flags, bits) = change.applied(message.flags, message.keywords(), named);
            if (flags, bits) != (message.flags, message.keywords()) {
                let words: Vec<Keyword> = keywords_of(&keywords, bits).cloned().collect();
                changes.push((message.uid, flags, words));
                touched.insert(message.uid);
            }
        }
        if changes.is_empty() {
            return Ok(Outcome::Stored { modified, changed: UidSet::new(), modseq: None });
        }
        let mut changed = handle.mailbox()?.store(&changes)?;
        changed.flags = changed.flags.union(&touched);
        self.publish(live, &mut handle, &changed)?;
        let modseq = Some(live.current().mailbox.highest_modseq);
        Ok(Outcome::Stored { modified, changed: touched, modseq })
    }

    fn expunge(&self, live: &Live, uids: &UidSet, which: Removed) -> Result<Outcome, ServiceError> {
        let mut handle = self.ready_to_change(live)?;
        let current = live.current();
        let goes = |message: &&Message| which == Removed::All || message.flags.contains(Flags::DELETED);
        let uids: UidSet = messages_in(&current.messages, uids).filter(goes).map(|message| message.uid).collect();
        if uids.is_empty() {
            return Ok(Outcome::Expunged { uids, modseq: None });
        }
        let mut changed = handle.mailbox()?.expunge(&uids)?;
        changed.expunged = changed.expunged.union(&uids);
        self.publish(live, &mut handle, &changed)?;
        Ok(Outcome::Expunged { uids, modseq: Some(live.current().mailbox.highest_modseq) })
    }

    fn append(
        &self,
        live: &Live,
        store: &Store,
        messages: Vec<(NewMessage, paquebot_log::Body)>,
    ) -> Result<Outcome, ServiceError> {
        let mut handle = self.ready_to_change(live)?;
        let mut bodies: Vec<Incoming<'_>> =
            messages.iter().map(|(message, body)| Incoming { store, size: message.size.into(), body }).collect();
        let mut arriving: Vec<Arriving<'_>> = messages
            .iter()
            .zip(&mut bodies)
            .map(|((message, _), body)| Arriving {
                flags: message.flags,
                keywords: message.keywords.clone(),
                internal_date: message.internal_date,
                body,
                uid: None,
            })
            .collect();
        let uids: UidSet = handle.mailbox()?.append(&mut arriving)?.into_iter().collect();
        // What others did meanwhile was seen on the way.
        self.publish(live, &mut handle, &anything())?;
        let mailbox = &live.current().mailbox;
        Ok(Outcome::Appended { uid_validity: mailbox.uid_validity, uids, modseq: mailbox.highest_modseq })
    }
}

/// The messages with these UIDs, ascending. O(ranges) beyond those that there are.
pub(super) fn messages_in<'a>(tree: &'a crate::tree::PageTree, uids: &'a UidSet) -> impl Iterator<Item = &'a Message> {
    uids.ranges().iter().flat_map(move |range| {
        let first = paquebot_types::SeqNum::new(tree.rank(range.first).saturating_add(1));
        let from = first.into_iter().flat_map(move |first| tree.iter_from(first));
        from.map(|(_, message)| message).take_while(move |message| message.uid <= range.last)
    })
}

/// A message that a client or another server has given, on its way to a driver.
struct Incoming<'a> {
    store: &'a Store,
    size: u64,
    body: &'a paquebot_log::Body,
}

impl Body for Incoming<'_> {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_body(self.store, self.body, offset, buffer).map_err(io::Error::other)
    }
}
