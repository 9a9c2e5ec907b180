//! Delivery, exactly once: a mail server that did not hear the answer sends the message again.

use paquebot_types::{AccountId, MailboxId};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::op::append;
use crate::outcome::Outcome;
use crate::record::{DeliveryKey, NewMessage};
use crate::row::{Delivery, Row};

/// How long a delivery is remembered, by the records' clock, in milliseconds: mail servers give up after five days.
pub const DELIVERY_WINDOW_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Rows of other deliveries that each new one looks at. Keys are evenly spread, so every row is looked at as often as another, and with four those that
/// have run out are never more than a third of those that have not, without a second order of them by time.
const LOOKED_AT: usize = 4;

/// Appends a message, unless a delivery with this key was made within the window: then nothing changes, and the outcome is that one's.
pub fn deliver(
    draft: &mut Draft,
    account: AccountId,
    mailbox: MailboxId,
    message: &NewMessage,
    once: DeliveryKey,
) -> Result<Outcome, ApplyError> {
    let key = key::delivery(account, once);
    if let Some(first) = draft.row::<Delivery>(key.clone())?
        && !has_run_out(&first, draft.time_ms)
    {
        let Delivery { uid_validity, uid, modseq, .. } = first;
        return Ok(Outcome::Delivered { uid_validity, uid, modseq, repeat: true });
    }
    let (uid_validity, uids, modseq) = match append::append(draft, account, mailbox, std::slice::from_ref(message))? {
        Outcome::Appended { uid_validity, uids, modseq } => (uid_validity, uids, modseq),
        refused => return Ok(refused),
    };
    let uid = uids.ranges().first().expect("an append of a message gives it a UID").first;
    let row = Delivery { time_ms: draft.time_ms, uid_validity, uid, modseq };
    draft.put(key, row.encode());
    for (key, value) in draft.scan_some(&key::deliveries_after(account, once), LOOKED_AT)? {
        match Delivery::decode(&value) {
            Some(other) if has_run_out(&other, draft.time_ms) => draft.delete(key),
            Some(_) => {}
            None => return Err(ApplyError::DamagedRow(key)),
        }
    }
    Ok(Outcome::Delivered { uid_validity, uid, modseq, repeat: false })
}

/// Clocks differ: one that goes back keeps a delivery for longer.
fn has_run_out(delivery: &Delivery, now_ms: u64) -> bool {
    now_ms >= delivery.time_ms.saturating_add(DELIVERY_WINDOW_MS)
}
