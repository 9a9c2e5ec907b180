//! Giving space back.

use paquebot_types::{AccountId, BlobId, MailboxId, ModSeq, UidSet};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::outcome::{Outcome, Refusal};
use crate::row::{Row, Tombstone};

/// Tombstones of a mailbox that are kept apart. Older ones become one, which says for a client that was away for long more UIDs than it
/// needs to hear, and never fewer (RFC 7162, 3.2.10 allows it).
const TOMBSTONES_APART: usize = 256;

/// Ends the time in which what was expunged or deleted before `before_ms` can come back: its bodies are then named by nothing.
pub fn purge(draft: &mut Draft, account: AccountId, before_ms: u64) -> Result<Outcome, ApplyError> {
    if draft.account(account)?.is_none() {
        return Ok(Outcome::Refused(Refusal::NoSuchAccount));
    }
    for id in draft.mailbox_ids(account)? {
        let Some(mailbox) = draft.mailbox_or_deleted(account, id)? else {
            continue;
        };
        if mailbox.deleted_ms.is_some_and(|time| time < before_ms) {
            forget(draft, account, mailbox.id)?;
        } else {
            purge_tombstones(draft, account, mailbox.id, before_ms)?;
        }
    }
    Ok(Outcome::Done)
}

fn forget(draft: &mut Draft, account: AccountId, mailbox: MailboxId) -> Result<(), ApplyError> {
    for number in draft.pages_of(account, mailbox, &UidSet::all())? {
        draft.page_mut(account, mailbox, number)?.messages.clear();
    }
    for (key, _) in draft.scan(&key::tombstones_after(account, mailbox, ModSeq::ZERO))? {
        draft.delete(key);
    }
    draft.remove_mailbox(account, mailbox);
    Ok(())
}

fn purge_tombstones(
    draft: &mut Draft,
    account: AccountId,
    mailbox: MailboxId,
    before_ms: u64,
) -> Result<(), ApplyError> {
    let mut old = Vec::new();
    for (key, value) in draft.scan(&key::tombstones_after(account, mailbox, ModSeq::ZERO))? {
        let tombstone = Tombstone::decode(&value).ok_or_else(|| ApplyError::DamagedRow(key.clone()))?;
        if tombstone.time_ms < before_ms {
            old.push((key, tombstone));
        }
    }
    let merged = old.len().saturating_sub(TOMBSTONES_APART);
    let mut uids = UidSet::new();
    for (at, (key, tombstone)) in old.into_iter().enumerate() {
        if at < merged {
            uids = uids.union(&tombstone.uids);
            draft.delete(key);
        } else if at == merged && merged > 0 {
            uids = uids.union(&tombstone.uids);
            let tombstone = Tombstone { uids: std::mem::take(&mut uids), messages: Vec::new(), ..tombstone };
            draft.put(key, tombstone.encode());
        } else if !tombstone.messages.is_empty() {
            draft.put(key, Tombstone { messages: Vec::new(), ..tombstone }.encode());
        }
    }
    Ok(())
}

/// Forgets bodies that no message names any more.
pub fn collect(draft: &mut Draft, account: AccountId, blobs: &[BlobId]) -> Result<Outcome, ApplyError> {
    for blob in blobs {
        draft.remove_blob(account, *blob)?;
    }
    Ok(Outcome::Done)
}
