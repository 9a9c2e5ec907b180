//! CREATE (RFC 9051, 6.3.4; USE: RFC 6154, 3).

use paquebot_types::{AccountId, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidValidity};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::outcome::{Outcome, Refusal};
use crate::row::Mailbox;

/// Mailboxes in an account, at most.
pub const MAILBOXES_MAX: u32 = 100_000;

/// Makes an empty mailbox. Its UIDVALIDITY is above every one that the account ever gave out, and not below the time, so that neither a
/// clock that goes back nor an old backup lets one be used twice.
pub fn create(
    draft: &mut Draft,
    account: AccountId,
    name: &MailboxName,
    special_use: &[SpecialUse],
) -> Result<Outcome, ApplyError> {
    if draft.mailbox_named(account, name)?.is_some() {
        return Ok(Outcome::Refused(Refusal::MailboxExists));
    }
    if !special_use.is_empty() && special_use_taken(draft, account, special_use)? {
        return Ok(Outcome::Refused(Refusal::SpecialUseTaken));
    }
    let (id, uid_validity) = match next_ids(draft, account)? {
        Ok(ids) => ids,
        Err(refusal) => return Ok(Outcome::Refused(refusal)),
    };
    let mailbox = Mailbox {
        id,
        name: name.clone(),
        uid_validity,
        uid_next: Some(Uid::MIN),
        highest_modseq: ModSeq(1),
        messages: 0,
        unseen: 0,
        deleted: 0,
        size: 0,
        recent_from: 1,
        special_use: special_use.to_vec(),
        keywords: Vec::new(),
        created_ms: draft.time_ms,
        deleted_ms: None,
    };
    draft.put_mailbox(account, mailbox);
    draft.put_name(account, name, id);
    Ok(Outcome::Created { mailbox: id, uid_validity })
}

/// Takes the account's next mailbox number and UIDVALIDITY, and counts a mailbox more.
pub fn next_ids(
    draft: &mut Draft,
    account: AccountId,
) -> Result<Result<(MailboxId, UidValidity), Refusal>, ApplyError> {
    let now = u32::try_from(draft.time_seconds()).unwrap_or(u32::MAX);
    let Some(row) = draft.account(account)? else {
        return Ok(Err(Refusal::NoSuchAccount));
    };
    let uid_validity = row.last_uid_validity.checked_add(1).map(|next| next.max(now));
    let ids = (row.last_mailbox.checked_add(1).and_then(MailboxId::new), uid_validity.and_then(UidValidity::new));
    let (Some(mailbox), Some(uid_validity)) = ids else {
        return Ok(Err(Refusal::TooManyMailboxes));
    };
    if row.mailboxes >= MAILBOXES_MAX {
        return Ok(Err(Refusal::TooManyMailboxes));
    }
    if let Some(row) = draft.account_mut(account)? {
        row.last_mailbox = mailbox.get();
        row.last_uid_validity = uid_validity.get();
        row.mailboxes += 1;
    }
    Ok(Ok((mailbox, uid_validity)))
}

/// Whether another mailbox has one of these uses: a client that finds two \Sent cannot tell which to use.
fn special_use_taken(draft: &mut Draft, account: AccountId, special_use: &[SpecialUse]) -> Result<bool, ApplyError> {
    for (key, value) in draft.scan(&key::names(account))? {
        let id = crate::draft::parse_mailbox_id(&value).ok_or(ApplyError::DamagedRow(key))?;
        let mailbox = draft.mailbox(account, id)?;
        if mailbox.is_some_and(|mailbox| mailbox.special_use.iter().any(|have| special_use.contains(have))) {
            return Ok(true);
        }
    }
    Ok(false)
}
