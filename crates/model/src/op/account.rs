//! Accounts.

use paquebot_types::{AccountId, MailboxName, SpecialUse};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::op::{create, subscribe};
use crate::outcome::Outcome;
use crate::row::{Account, Row};

/// Makes an account with INBOX and the mailboxes named, all subscribed. Nothing changes for one that is there. A mailbox whose name or use
/// came before in the list is left out.
pub fn add(
    draft: &mut Draft,
    id: AccountId,
    name: &str,
    mailboxes: &[(MailboxName, Option<SpecialUse>)],
) -> Result<Outcome, ApplyError> {
    if draft.account(id)?.is_some() {
        return Ok(Outcome::Done);
    }
    let (name, created_ms) = (name.into(), draft.time_ms);
    let account = match draft.row::<Account>(key::removed_account(id))? {
        Some(removed) => {
            draft.delete(key::removed_account(id));
            Account { name, created_ms, mailboxes: 0, ..removed }
        }
        None => Account { name, created_ms, last_mailbox: 0, last_blob: 0, last_uid_validity: 0, mailboxes: 0 },
    };
    draft.put_account(id, account);
    let inbox = (MailboxName::inbox(), None);
    for (name, special_use) in std::iter::once(&inbox).chain(mailboxes) {
        create::create(draft, id, name, special_use.as_slice())?;
        subscribe::subscribe(draft, id, name)?;
    }
    Ok(Outcome::Done)
}

/// Deletes every row of an account. Only the numbers that it gave out are remembered: if it is made again, no client that remembers the
/// old mail may take the new for it, and no body's number may come to mean another.
pub fn remove(draft: &mut Draft, id: AccountId) -> Result<Outcome, ApplyError> {
    let Some(account) = draft.account(id)?.cloned() else {
        return Ok(Outcome::Done);
    };
    draft.forget_account(id)?;
    let removed = Account { name: String::new(), created_ms: 0, mailboxes: 0, ..account };
    draft.put(key::removed_account(id), removed.encode());
    Ok(Outcome::Done)
}
