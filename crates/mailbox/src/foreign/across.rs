//! COPY and MOVE to or from a foreign mailbox: the messages are read, and appended as if a client had sent them.

use paquebot_formats::Access;
use paquebot_log::Body;
use paquebot_model::{FlagAction, FlagChange, Message, NewMessage, Op, Outcome, Refusal, keywords_of};
use paquebot_types::{Flags, Keyword, MailboxId, ModSeq, UidSet, UidValidity};

use super::change::{Removed, messages_in};
use super::summary::each_chunk;
use super::{blocking, is_foreign};
use crate::account::Account;
use crate::error::{ChangeError, ServiceError};
use crate::incoming::Ready;

/// Octets of one batch, at least one message.
const BATCH_BYTES: u64 = 16 << 20;
/// Messages of one batch.
const BATCH_MESSAGES: usize = 1000;

/// What becomes of the messages that are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Originals {
    Stay,
    Go,
}

/// What has been appended so far.
#[derive(Default)]
struct Copied {
    uid_validity: Option<UidValidity>,
    source: UidSet,
    destination: UidSet,
}

impl Account {
    /// The outcome is [`Outcome::Copied`]. Messages that are gone are passed over. All are copied or none; the originals go when the copies are
    /// durable, so a crash between may leave both.
    pub(crate) async fn copy_across(
        &self,
        from: MailboxId,
        uids: &UidSet,
        to: MailboxId,
        originals: Originals,
    ) -> Result<Outcome, ChangeError> {
        let access = if originals == Originals::Go { Access::Write } else { Access::Read };
        let live = self.open_for(from, access)?.ok_or(Refusal::NoSuchMailbox)?;
        let current = live.current();
        if let (Originals::Go, Some(why)) = (originals, &current.read_only) {
            return Err(ServiceError::Format(paquebot_formats::FormatError::ReadOnly(why.to_string())).into());
        }
        let messages: Vec<Message> = messages_in(&current.messages, uids).copied().collect();
        let mut copied = Copied::default();
        match self.copy_each(&messages, &current.mailbox.keywords, to, &mut copied).await {
            Ok(()) => {}
            Err(error) => {
                if !copied.destination.is_empty()
                    && let Err(undone) = self.remove(to, &copied.destination).await
                {
                    let error = &undone as &dyn std::error::Error;
                    tracing::error!(error, "messages of a COPY that failed could not be removed again");
                }
                return Err(error);
            }
        }
        let modseq = match originals {
            Originals::Go if !copied.source.is_empty() => self.remove(from, &copied.source).await?,
            _ => None,
        };
        let uid_validity = match copied.uid_validity {
            Some(uid_validity) => uid_validity,
            // Nothing was copied, and nobody will be told it.
            None => current.mailbox.uid_validity,
        };
        Ok(Outcome::Copied { uid_validity, source: copied.source, destination: copied.destination, modseq })
    }

    async fn copy_each(
        &self,
        messages: &[Message],
        keywords: &[Keyword],
        to: MailboxId,
        copied: &mut Copied,
    ) -> Result<(), ChangeError> {
        let (mut batch, mut sources, mut bytes) = (Vec::new(), UidSet::new(), 0);
        for message in messages {
            let Some(ready) = self.read_whole(message).await? else { continue };
            let words = keywords_of(keywords, message.keywords()).cloned().collect();
            batch.push(ready.message(message.flags, words, message.internal_date));
            sources.insert(message.uid);
            bytes += u64::from(ready.size());
            if bytes >= BATCH_BYTES || batch.len() >= BATCH_MESSAGES {
                self.append_some(to, std::mem::take(&mut batch), std::mem::take(&mut sources), copied).await?;
                bytes = 0;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.append_some(to, batch, sources, copied).await }
    }

    async fn append_some(
        &self,
        to: MailboxId,
        batch: Vec<(NewMessage, Body)>,
        sources: UidSet,
        copied: &mut Copied,
    ) -> Result<(), ChangeError> {
        if let Outcome::Appended { uid_validity, uids, .. } = self.append(to, batch).await? {
            copied.uid_validity = Some(uid_validity);
            copied.source = copied.source.union(&sources);
            copied.destination = copied.destination.union(&uids);
        }
        Ok(())
    }

    /// Reads a message as one that is to be appended; `None` if it is gone.
    async fn read_whole(&self, message: &Message) -> Result<Option<Ready>, ServiceError> {
        let body = match blocking(|| self.reader()?.message_body(message.blob)) {
            Err(ServiceError::NoBody) if is_foreign_body(message) => return Ok(None),
            Err(ServiceError::NoBody) if self.can_fetch() => {
                self.fetch(message.blob, None).await?;
                blocking(|| self.reader()?.message_body(message.blob))?
            }
            body => body?,
        };
        let mut incoming = self.incoming(Some(body.len()));
        blocking(|| {
            let read = |offset, buffer: &mut [u8]| body.read_at(offset, buffer);
            each_chunk(body.len(), read, |octets| incoming.write(octets))
        })?;
        incoming.finish().await.map(Some)
    }

    /// Removes messages, whatever their flags; gives the mailbox's mod-sequence after it.
    async fn remove(&self, mailbox: MailboxId, uids: &UidSet) -> Result<Option<ModSeq>, ChangeError> {
        let outcome = match self.foreign().filter(|_| is_foreign(mailbox)) {
            Some(user) => blocking(|| user.expunge(mailbox, uids, Removed::All))?,
            None => {
                let change = FlagChange { action: FlagAction::Add, flags: Flags::DELETED, keywords: Vec::new() };
                let (account, uids) = (self.id, uids.clone());
                let ops = vec![
                    Op::Store { account, mailbox, uids: uids.clone(), change, unchanged_since: None },
                    Op::Expunge { account, mailbox, uids },
                ];
                let outcomes = self.service.change_all(self.shard, ops, Vec::new()).await?;
                outcomes.into_iter().next_back().ok_or(ServiceError::Stopping)?
            }
        };
        match outcome {
            Outcome::Expunged { modseq, .. } => Ok(modseq),
            Outcome::Refused(refusal) => Err(refusal.into()),
            _ => Ok(None),
        }
    }
}

fn is_foreign_body(message: &Message) -> bool {
    super::parse_blob(message.blob).is_some()
}
