//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051, 6.3.7 and 6.3.8): a list of names, which need not be those of mailboxes.

use paquebot_types::{AccountId, MailboxName};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::outcome::{Outcome, Refusal};

/// Subscriptions of an account, at most.
const SUBSCRIPTIONS_MAX: usize = 200_000;

pub fn subscribe(draft: &mut Draft, account: AccountId, name: &MailboxName) -> Result<Outcome, ApplyError> {
    if draft.account(account)?.is_none() {
        return Ok(Outcome::Refused(Refusal::NoSuchAccount));
    }
    let key = key::subscription(account, name);
    // A name that no mailbox has can be subscribed to without end; a mailbox's cannot.
    if draft.get(&key)?.is_none()
        && draft.mailbox_named(account, name)?.is_none()
        && draft.scan(&key::subscriptions(account))?.len() >= SUBSCRIPTIONS_MAX
    {
        return Ok(Outcome::Refused(Refusal::TooManyMailboxes));
    }
    draft.put(key, Vec::new());
    Ok(Outcome::Done)
}

pub fn unsubscribe(draft: &mut Draft, account: AccountId, name: &MailboxName) -> Result<Outcome, ApplyError> {
    draft.delete(key::subscription(account, name));
    Ok(Outcome::Done)
}
