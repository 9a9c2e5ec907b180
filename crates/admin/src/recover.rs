//! What of an account can come back, and bringing it back.

use std::sync::Arc;

use paquebot_mailbox::{Account, Service};
use paquebot_model::{Mailbox, Row, Rows, Scan, key};
use paquebot_types::{AccountId, MailboxName, ShardId};

use crate::request::{Answer, Recoverable};

/// Messages and octets of an account.
pub fn totals(service: &Arc<Service>, shard: ShardId, account: AccountId) -> Result<(u64, u64), String> {
    let rows = service.store().read().map_err(|error| error.to_string())?.rows(shard);
    let (from, to) = key::mailboxes(account);
    let mut totals = (0, 0);
    let scanned = rows.scan(&from, &to, &mut |_, value| {
        if let Some(mailbox) = Mailbox::decode(value).filter(|mailbox| mailbox.deleted_ms.is_none()) {
            totals = (totals.0 + u64::from(mailbox.messages), totals.1 + mailbox.size);
        }
        Scan::Continue
    });
    scanned.map_err(|error| error.to_string())?;
    Ok(totals)
}

/// Every mailbox that has lost something at `since_ms` or after, and every one that is lost itself.
pub fn list(account: &Account, only: Option<&MailboxName>, since_ms: u64) -> Result<Vec<Recoverable>, String> {
    let mut found = Vec::new();
    for mailbox in wanted(account, only)? {
        let expunged: Vec<_> = mailbox.expunged.iter().filter(|expunged| expunged.time_ms >= since_ms).collect();
        if mailbox.deleted_ms.map_or(expunged.is_empty(), |time| time < since_ms) {
            continue;
        }
        found.push(Recoverable {
            mailbox: mailbox.name.as_str().to_owned(),
            deleted_ms: mailbox.deleted_ms,
            held: mailbox.messages,
            expunged: expunged.iter().map(|expunged| expunged.messages).sum(),
            first_ms: expunged.first().map(|expunged| expunged.time_ms),
            last_ms: expunged.last().map(|expunged| expunged.time_ms),
        });
    }
    Ok(found)
}

/// Brings back deleted mailboxes, and what was expunged from those and from the ones that are there.
pub async fn undelete(account: &Account, only: Option<&MailboxName>, since_ms: u64) -> Result<Answer, String> {
    let (mut messages, mut mailboxes) = (0, 0);
    for mailbox in wanted(account, only)? {
        if let Some(time) = mailbox.deleted_ms {
            if time < since_ms {
                continue;
            }
            let name = free_name(account, &mailbox.name)?;
            messages += account.undelete_mailbox(mailbox.mailbox, &name).await.map_err(|error| error.to_string())?;
            mailboxes += 1;
        }
        if !mailbox.expunged.is_empty() {
            messages += account.undelete(mailbox.mailbox, since_ms).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(Answer::Undeleted { messages, mailboxes })
}

/// Of all mailboxes or of those of one name. A name that no mailbox has or had is somebody's mistake.
fn wanted(account: &Account, only: Option<&MailboxName>) -> Result<Vec<paquebot_mailbox::Recoverable>, String> {
    let mut found = account.recoverable().map_err(|error| error.to_string())?;
    let Some(name) = only else { return Ok(found) };
    found.retain(|mailbox| mailbox.name == *name);
    if found.is_empty() && account.mailbox_named(name).map_err(|error| error.to_string())?.is_none() {
        return Err(format!("{name}: there is no such mailbox, and none that was deleted; `--list` names all"));
    }
    Ok(found)
}

/// The name that the mailbox had, or one like it if another has taken it.
fn free_name(account: &Account, name: &MailboxName) -> Result<MailboxName, String> {
    let names = account.list().map_err(|error| error.to_string())?;
    let taken = |name: &MailboxName| names.get(name).is_some_and(|listed| listed.mailbox.is_some());
    let others = (1..).filter_map(|number| MailboxName::new(&format!("{name} (undeleted {number})")).ok());
    let mut candidates = std::iter::once(name.clone()).chain(others.take(1000));
    candidates.find(|name| !taken(name)).ok_or_else(|| format!("{name}: every name like it is taken"))
}
