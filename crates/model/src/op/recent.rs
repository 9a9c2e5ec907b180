//! `\Recent`: who was told first (RFC 3501, 2.3.2).

use paquebot_types::{AccountId, MailboxId};

use crate::draft::{ApplyError, Draft};
use crate::outcome::{Outcome, Refusal};

/// Notes that messages below this UID are nobody else's `\Recent`. It only grows.
pub fn claim(draft: &mut Draft, account: AccountId, id: MailboxId, below: u32) -> Result<Outcome, ApplyError> {
    let Some(mut mailbox) = draft.mailbox(account, id)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    let below = mailbox.uid_next.map_or(below, |next| below.min(next.get()));
    if below > mailbox.recent_from {
        mailbox.recent_from = below;
        draft.put_mailbox(account, mailbox);
    }
    Ok(Outcome::Done)
}
