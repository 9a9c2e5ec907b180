//! Accounts.

use paquebot_types::{AccountId, MailboxName, SpecialUse};

use crate::draft::{ApplyError, Draft};
use crate::op::{create, subscribe};
use crate::outcome::Outcome;
use crate::row::Account;

/// Makes an account with INBOX and the mailboxes named, all subscribed. Nothing changes for one that is there.
pub fn add(
    draft: &mut Draft,
    id: AccountId,
    name: &str,
    mailboxes: &[(MailboxName, Option<SpecialUse>)],
) -> Result<Outcome, ApplyError> {
    if draft.account(id)?.is_some() {
        return Ok(Outcome::Done);
    }
    let created_ms = draft.time_ms;
    draft.put_account(
        id,
        Account { name: name.into(), created_ms, last_mailbox: 0, last_blob: 0, last_uid_validity: 0, mailboxes: 0 },
    );
    let inbox = (MailboxName::inbox(), None);
    for (name, special_use) in std::iter::once(&inbox).chain(mailboxes) {
        create::create(draft, id, name, special_use.as_slice())?;
        subscribe::subscribe(draft, id, name)?;
    }
    Ok(Outcome::Done)
}

/// Deletes every row of an account.
pub fn remove(draft: &mut Draft, id: AccountId) -> Result<Outcome, ApplyError> {
    draft.forget_account(id)?;
    Ok(Outcome::Done)
}
