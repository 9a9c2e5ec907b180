//! What was expunged or deleted and can still be brought back.

use std::collections::BTreeMap;

use paquebot_model::{Mailbox, Op, Outcome, Page, Refusal, Row, Rows, Scan, Tombstone, key};
use paquebot_types::{MailboxId, MailboxName};

use crate::account::Account;
use crate::error::{ChangeError, ServiceError};

/// What can be brought back of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoverable {
    pub mailbox: MailboxId,
    /// Its name, or the one that it had.
    pub name: MailboxName,
    /// When it was deleted, in milliseconds since 1970; `None` if it is there.
    pub deleted_ms: Option<u64>,
    /// Messages that were in it when it was deleted; 0 if it is there.
    pub messages: u32,
    /// What was expunged from it, the oldest first.
    pub expunged: Vec<Expunged>,
}

/// What was expunged at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expunged {
    /// In milliseconds since 1970.
    pub time_ms: u64,
    pub messages: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Account {
    /// Every mailbox of which something can be brought back, by name; those that were deleted under one name, the oldest first.
    pub fn recoverable(&self) -> Result<Vec<Recoverable>, ServiceError> {
        let rows = self.reader()?.rows();
        let mut found: BTreeMap<MailboxId, Recoverable> = BTreeMap::new();
        let (from, to) = key::mailboxes(self.id);
        let mut damaged = None;
        rows.scan(&from, &to, &mut |key, value| match Mailbox::decode(value) {
            Some(Mailbox { id, name, deleted_ms, messages, .. }) => {
                let messages = if deleted_ms.is_some() { messages } else { 0 };
                found.insert(id, Recoverable { mailbox: id, name, deleted_ms, messages, expunged: Vec::new() });
                Scan::Continue
            }
            None => {
                damaged = Some(key.to_vec());
                Scan::Stop
            }
        })?;
        let (from, to) = key::tombstones(self.id);
        rows.scan(&from, &to, &mut |key, value| match (key::parse_account_row(key), expunged(value)) {
            (Some((_, key::AccountRow::Tombstone(mailbox, _))), Some(expunged)) => {
                if let Some(mailbox) = found.get_mut(&mailbox).filter(|_| expunged.messages > 0) {
                    mailbox.expunged.push(expunged);
                }
                Scan::Continue
            }
            _ => {
                damaged = Some(key.to_vec());
                Scan::Stop
            }
        })?;
        if let Some(key) = damaged {
            return Err(ServiceError::DamagedRow(key));
        }
        let mut found: Vec<Recoverable> = found
            .into_values()
            .filter(|mailbox| mailbox.deleted_ms.is_some() || !mailbox.expunged.is_empty())
            .collect();
        found.sort_by(|one, other| (&one.name, one.deleted_ms).cmp(&(&other.name, other.deleted_ms)));
        Ok(found)
    }

    /// Brings back what was expunged from a mailbox at `since_ms` or after, under new UIDs. Gives how many messages that was.
    pub async fn undelete(&self, mailbox: MailboxId, since_ms: u64) -> Result<u64, ChangeError> {
        self.bring_back(Op::Undelete { account: self.id, mailbox, since_ms }).await
    }

    /// Brings a deleted mailbox back under a name that no mailbox has. Gives how many messages are in it.
    pub async fn undelete_mailbox(&self, mailbox: MailboxId, name: &MailboxName) -> Result<u64, ChangeError> {
        self.bring_back(Op::UndeleteMailbox { account: self.id, mailbox, name: name.clone() }).await
    }

    async fn bring_back(&self, op: Op) -> Result<u64, ChangeError> {
        match self.change(op, Vec::new()).await? {
            Outcome::Undeleted { messages } => Ok(messages),
            _ => Err(Refusal::NoSuchMailbox.into()),
        }
    }
}

/// `None` if the row is damaged.
fn expunged(value: &[u8]) -> Option<Expunged> {
    let tombstone = Tombstone::decode(value)?;
    let mut expunged = Expunged { time_ms: tombstone.time_ms, messages: 0, bytes: 0 };
    for page in &tombstone.messages {
        for message in Page::decode(page)?.messages {
            expunged.messages += 1;
            expunged.bytes += u64::from(message.size);
        }
    }
    Some(expunged)
}
