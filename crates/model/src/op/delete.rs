//! DELETE (RFC 9051, 6.3.5).

use paquebot_types::{AccountId, MailboxName};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::outcome::{Outcome, Refusal};

/// Takes a mailbox's name away and marks it deleted; its messages wait to be purged or brought back. Inferiors stay: the name is then a
/// `\NoSelect` one for as long as there are any.
pub fn delete(draft: &mut Draft, account: AccountId, name: &MailboxName) -> Result<Outcome, ApplyError> {
    if name.is_inbox() {
        return Ok(Outcome::Refused(Refusal::InboxStays));
    }
    let Some(id) = draft.mailbox_named(account, name)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    let Some(mut mailbox) = draft.mailbox(account, id)? else {
        return Err(ApplyError::DamagedRow(key::name(account, name)));
    };
    mailbox.deleted_ms = Some(draft.time_ms);
    mailbox.special_use.clear();
    draft.put_mailbox(account, mailbox);
    draft.delete(key::name(account, name));
    if let Some(row) = draft.account_mut(account)? {
        row.mailboxes = row.mailboxes.saturating_sub(1);
    }
    Ok(Outcome::Done)
}
