//! What of an account can come back, and bringing it back.

use std::sync::Arc;

use paquebot_mailbox::{Account, Service};
use paquebot_model::{Mailbox, Op, Outcome, Page, Row, Rows, Scan, Tombstone, key};
use paquebot_types::{AccountId, MailboxName, ModSeq, ShardId};

use crate::request::{Answer, Recoverable};

/// Messages and octets of an account.
pub fn totals(service: &Arc<Service>, shard: ShardId, account: AccountId) -> Result<(u64, u64), String> {
    let mut totals = (0, 0);
    for mailbox in mailboxes(service, shard, account)?.iter().filter(|mailbox| mailbox.deleted_ms.is_none()) {
        totals = (totals.0 + u64::from(mailbox.messages), totals.1 + mailbox.size);
    }
    Ok(totals)
}

/// Every mailbox that has lost something, and every one that is lost itself.
pub fn list(account: &Account) -> Result<Vec<Recoverable>, String> {
    let (shard, id) = account.id();
    let mut found = Vec::new();
    for mailbox in mailboxes(account.service(), shard, id)? {
        let (messages, first_ms, last_ms) = match mailbox.deleted_ms {
            Some(time) => (mailbox.messages.into(), Some(time), Some(time)),
            None => expunged(account, &mailbox)?,
        };
        if messages > 0 || mailbox.deleted_ms.is_some() {
            let (name, deleted_ms) = (mailbox.name.as_str().to_owned(), mailbox.deleted_ms);
            found.push(Recoverable { mailbox: name, deleted_ms, messages, first_ms, last_ms });
        }
    }
    found.sort_by(|a, b| a.mailbox.cmp(&b.mailbox));
    Ok(found)
}

/// Brings back deleted mailboxes, those of this name or all, and then what was expunged from the ones there are.
pub async fn undelete(account: &Account, only: Option<&MailboxName>, since_ms: u64) -> Result<Answer, String> {
    let (shard, id) = account.id();
    let (mut messages, mut restored) = (0, 0);
    let wanted = |mailbox: &Mailbox| only.is_none_or(|name| mailbox.name == *name);
    let all = mailboxes(account.service(), shard, id)?;
    for mailbox in
        all.iter().filter(|mailbox| wanted(mailbox) && mailbox.deleted_ms.is_some_and(|time| time >= since_ms))
    {
        let name = free_name(account, &mailbox.name)?;
        let op = Op::UndeleteMailbox { account: id, mailbox: mailbox.id, name };
        if let Outcome::Undeleted { messages: back } =
            account.change(op, Vec::new()).await.map_err(|e| e.to_string())?
        {
            messages += back;
            restored += 1;
        }
    }
    for mailbox in all.iter().filter(|mailbox| wanted(mailbox) && mailbox.deleted_ms.is_none()) {
        let op = Op::Undelete { account: id, mailbox: mailbox.id, since_ms };
        if let Outcome::Undeleted { messages: back } =
            account.change(op, Vec::new()).await.map_err(|e| e.to_string())?
        {
            messages += back;
        }
    }
    Ok(Answer::Undeleted { messages, mailboxes: restored })
}

/// The name that the mailbox had, or one like it if another has taken it.
fn free_name(account: &Account, name: &MailboxName) -> Result<MailboxName, String> {
    let names = account.list().map_err(|error| error.to_string())?;
    let taken = |name: &MailboxName| names.get(name).is_some_and(|listed| listed.mailbox.is_some());
    let others = (1..).filter_map(|number| MailboxName::new(&format!("{name} (undeleted {number})")).ok());
    let mut candidates = std::iter::once(name.clone()).chain(others.take(1000));
    candidates.find(|name| !taken(name)).ok_or_else(|| format!("{name}: every name like it is taken"))
}

fn mailboxes(service: &Arc<Service>, shard: ShardId, account: AccountId) -> Result<Vec<Mailbox>, String> {
    let rows = service.store().read().map_err(|error| error.to_string())?.rows(shard);
    let (from, to) = key::mailboxes(account);
    let mut found = Vec::new();
    let scanned = rows.scan(&from, &to, &mut |_, value| {
        found.extend(Mailbox::decode(value));
        Scan::Continue
    });
    scanned.map_err(|error| error.to_string())?;
    Ok(found)
}

/// How many messages a mailbox has lost that can come back, and between which times.
fn expunged(account: &Account, mailbox: &Mailbox) -> Result<(u64, Option<u64>, Option<u64>), String> {
    let (shard, id) = account.id();
    let rows = account.service().store().read().map_err(|error| error.to_string())?.rows(shard);
    let (from, to) = key::tombstones_after(id, mailbox.id, ModSeq::ZERO);
    let (mut messages, mut first, mut last) = (0, None, None);
    let scanned = rows.scan(&from, &to, &mut |_, value| {
        if let Some(tombstone) = Tombstone::decode(value).filter(|tombstone| !tombstone.messages.is_empty()) {
            let pages = tombstone.messages.iter().filter_map(|page| Page::decode(page));
            messages += pages.map(|page| page.messages.len() as u64).sum::<u64>();
            first = Some(first.map_or(tombstone.time_ms, |first: u64| first.min(tombstone.time_ms)));
            last = Some(last.map_or(tombstone.time_ms, |last: u64| last.max(tombstone.time_ms)));
        }
        Scan::Continue
    });
    scanned.map_err(|error| error.to_string())?;
    Ok((messages, first, last))
}
