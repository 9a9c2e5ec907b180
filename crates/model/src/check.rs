//! The invariants of a shard's rows: what `paquebot check` and every test of the model verify.

use std::collections::{BTreeMap, BTreeSet};

use paquebot_types::{AccountId, BlobId, Flags, MailboxId, Uid};

use crate::key::{self, AccountRow};
use crate::page::{Page, page_number};
use crate::row::{Account, AccountMove, Blob, Delivery, Mailbox, Row, Tombstone};
use crate::rows::{Rows, RowsError, Scan};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account {account}: {what}")]
pub struct Breach {
    pub account: AccountId,
    pub what: String,
}

/// Every account of the shard.
pub fn check_accounts(rows: &dyn Rows) -> Result<Vec<Breach>, RowsError> {
    let mut accounts = Vec::new();
    let (mut from, to) = key::accounts();
    loop {
        let mut found = None;
        rows.scan(&from, &to, &mut |key, _| {
            found = key::parse_account_row(key).map(|(account, _)| account);
            Scan::Stop
        })?;
        let Some(account) = found else { break };
        accounts.push(account);
        from = key::account_rows(account).1;
    }
    let mut breaches = Vec::new();
    for account in accounts {
        breaches.extend(check_account(rows, account)?);
    }
    Ok(breaches)
}

/// One account: counters fit the messages, UIDs lie below UIDNEXT and in their pages, modseqs do not exceed HIGHESTMODSEQ, every name has
/// its mailbox and the other way round, every message has its body's row, no number was given out twice, INBOX is there.
pub fn check_account(rows: &dyn Rows, account: AccountId) -> Result<Vec<Breach>, RowsError> {
    let mut check = Check::default();
    if let Some(row) = rows.get(&key::account_move(account))? {
        match AccountMove::decode(&row) {
            // Part of an account that is coming or going keeps no invariant.
            Some(last) if !last.is_whole() => return Ok(Vec::new()),
            Some(_) => {}
            None => check.breach("the row of its move cannot be read"),
        }
    }
    let (from, to) = key::account_rows(account);
    rows.scan(&from, &to, &mut |key, value| {
        check.see(key, value);
        Scan::Continue
    })?;
    check.conclude();
    Ok(check.breaches.into_iter().map(|what| Breach { account, what }).collect())
}

#[derive(Default)]
struct Check {
    account: Option<Account>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    names: BTreeMap<String, MailboxId>,
    blobs: BTreeSet<BlobId>,
    named_blobs: BTreeSet<BlobId>,
    sums: BTreeMap<MailboxId, Sums>,
    breaches: Vec<String>,
}

#[derive(Default, PartialEq, Eq, Debug)]
struct Sums {
    messages: u32,
    unseen: u32,
    deleted: u32,
    size: u64,
}

impl Check {
    fn breach(&mut self, what: impl Into<String>) {
        self.breaches.push(what.into());
    }

    fn see(&mut self, key: &[u8], value: &[u8]) {
        let known = match key::parse_account_row(key).map(|(_, row)| row) {
            Some(AccountRow::Account) => Account::decode(value).map(|account| self.account = Some(account)),
            Some(AccountRow::Blob(blob)) => Blob::decode(value).map(|_| {
                self.blobs.insert(blob);
            }),
            Some(AccountRow::Delivery(_)) => Delivery::decode(value).map(drop),
            Some(AccountRow::Mailbox(id)) => Mailbox::decode(value).map(|mailbox| {
                if mailbox.id != id {
                    self.breach(format!("mailbox {id} calls itself {}", mailbox.id));
                }
                self.mailboxes.insert(id, mailbox);
            }),
            Some(AccountRow::Name) => {
                key::parse_name(key).zip(crate::draft::parse_mailbox_id(value)).map(|(name, id)| {
                    self.names.insert(name.as_str().into(), id);
                })
            }
            // Rows come by key: a mailbox's row is before its pages.
            Some(AccountRow::Page(mailbox, number)) => {
                Page::decode(value).map(|page| self.see_page(mailbox, number, &page))
            }
            Some(AccountRow::Subscription) => key::parse_name(key).map(drop),
            Some(AccountRow::Tombstone(mailbox, modseq)) => Tombstone::decode(value).and_then(|tombstone| {
                if self.mailboxes.get(&mailbox).is_none_or(|mailbox| mailbox.highest_modseq < modseq) {
                    self.breach(format!("a tombstone of mailbox {mailbox} is later than the mailbox"));
                }
                for page in &tombstone.messages {
                    self.named_blobs.extend(Page::decode(page)?.messages.iter().map(|message| message.blob));
                }
                Some(())
            }),
            None => None,
        };
        if known.is_none() {
            self.breach(format!("the row {} cannot be read", key.escape_ascii()));
        }
    }

    fn see_page(&mut self, id: MailboxId, number: u32, page: &Page) {
        let Some(mailbox) = self.mailboxes.get(&id) else {
            return self.breach(format!("a page of mailbox {id}, which there is not"));
        };
        let (uid_next, highest, keywords) = (mailbox.uid_next, mailbox.highest_modseq, mailbox.keywords.len());
        let mut last: Option<Uid> = None;
        for message in &page.messages {
            let uid = message.uid;
            if page_number(uid) != number || last.is_some_and(|last| last >= uid) {
                self.breach(format!("mailbox {id}: UID {uid} is out of its place"));
            }
            last = Some(uid);
            if uid_next.is_some_and(|next| uid >= next) {
                self.breach(format!("mailbox {id}: UID {uid} is not below UIDNEXT"));
            }
            if message.modseq > highest || message.modseq.0 == 0 {
                self.breach(format!(
                    "mailbox {id}: UID {uid} has modseq {}, and the mailbox {highest}",
                    message.modseq
                ));
            }
            if keywords < 128 && message.keywords() >> keywords != 0 {
                self.breach(format!("mailbox {id}: UID {uid} has a keyword without a name"));
            }
            self.named_blobs.insert(message.blob);
            let sums = self.sums.entry(id).or_default();
            sums.messages += 1;
            sums.size += u64::from(message.size);
            sums.unseen += u32::from(!message.flags.contains(Flags::SEEN));
            sums.deleted += u32::from(message.flags.contains(Flags::DELETED));
        }
        if page.messages.is_empty() {
            self.breach(format!("mailbox {id}: page {number} is empty"));
        }
    }

    fn conclude(&mut self) {
        let mut found = Vec::new();
        let mut live = 0;
        for (id, mailbox) in &self.mailboxes {
            let Mailbox { messages, unseen, deleted, size, .. } = *mailbox;
            let told = Sums { messages, unseen, deleted, size };
            let counted = self.sums.remove(id).unwrap_or_default();
            if told != counted {
                found.push(format!("mailbox {id} says {told:?} and holds {counted:?}"));
            }
            let named = self.names.get(mailbox.name.as_str()) == Some(id);
            live += u32::from(mailbox.deleted_ms.is_none());
            if mailbox.deleted_ms.is_none() && !named {
                found.push(format!("mailbox {id} cannot be found by its name {:?}", mailbox.name));
            }
        }
        for (name, id) in &self.names {
            if self
                .mailboxes
                .get(id)
                .is_none_or(|mailbox| mailbox.name.as_str() != name || mailbox.deleted_ms.is_some())
            {
                found.push(format!("the name {name:?} leads to mailbox {id}, which does not bear it"));
            }
        }
        match &self.account {
            None => found.push("there is no account row".into()),
            Some(account) if account.mailboxes != live => {
                found.push(format!("the account counts {} mailboxes and has {live}", account.mailboxes));
            }
            Some(account) => {
                if self.blobs.last().is_some_and(|blob| blob.get() > account.last_blob) {
                    found.push("a body's number is above the last one".into());
                }
                self.check_given_out(account, &mut found);
            }
        }
        if self.account.is_some() && !self.names.contains_key("INBOX") {
            found.push("there is no INBOX".into());
        }
        for blob in self.named_blobs.difference(&self.blobs) {
            found.push(format!("a message names body {blob}, which has no row"));
        }
        self.breaches.append(&mut found);
    }

    /// What the account would give out again, or gave out twice.
    fn check_given_out(&self, account: &Account, found: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for (id, Mailbox { uid_validity, .. }) in &self.mailboxes {
            if id.get() > account.last_mailbox {
                found.push(format!("mailbox {id} is above the last one"));
            }
            if uid_validity.get() > account.last_uid_validity {
                found.push(format!("mailbox {id}: UIDVALIDITY {uid_validity} is above the last one"));
            }
            if !seen.insert(*uid_validity) {
                found.push(format!("mailbox {id}: UIDVALIDITY {uid_validity} is another mailbox's too"));
            }
        }
    }
}
