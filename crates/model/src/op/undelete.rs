//! Bringing expunged messages and deleted mailboxes back.

use paquebot_types::{AccountId, Flags, MailboxId, MailboxName, ModSeq, Uid};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::op::append::uids_for;
use crate::op::create::MAILBOXES_MAX;
use crate::outcome::{Outcome, Refusal};
use crate::page::{Message, Page};
use crate::row::{Row, Tombstone};

/// Appends what was expunged from a mailbox at or after `since_ms` and has not been purged: under new UIDs, since a UID that a client was
/// told is gone can never be seen again, and without `\Deleted`.
pub fn undelete(draft: &mut Draft, account: AccountId, id: MailboxId, since_ms: u64) -> Result<Outcome, ApplyError> {
    let Some(mut mailbox) = draft.mailbox(account, id)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    let mut messages: Vec<Message> = Vec::new();
    let mut emptied = Vec::new();
    for (key, value) in draft.scan(&key::tombstones_after(account, id, ModSeq::ZERO))? {
        let tombstone = Tombstone::decode(&value).ok_or_else(|| ApplyError::DamagedRow(key.clone()))?;
        if tombstone.time_ms < since_ms || tombstone.messages.is_empty() {
            continue;
        }
        for page in &tombstone.messages {
            messages.extend(Page::decode(page).ok_or_else(|| ApplyError::DamagedRow(key.clone()))?.messages);
        }
        emptied.push((key, Tombstone { messages: Vec::new(), ..tombstone }));
    }
    let Some((mut next, after)) = uids_for(mailbox.uid_next, messages.len()) else {
        return Ok(Outcome::Refused(Refusal::NoMoreUids));
    };
    let count = messages.len() as u64;
    if count == 0 {
        return Ok(Outcome::Undeleted { messages: 0 });
    }
    for (key, tombstone) in emptied {
        draft.put(key, tombstone.encode());
    }
    mailbox.highest_modseq = mailbox.next_modseq();
    mailbox.uid_next = after;
    messages.sort_by_key(|message| message.uid);
    for message in messages {
        let uid = Uid::new(next).expect("uids_for gave a range above 0");
        next += 1;
        let flags = message.flags.difference(Flags::DELETED);
        let back = Message { uid, flags, modseq: mailbox.highest_modseq, save_date: draft.time_seconds(), ..message };
        mailbox.add(&back);
        draft.push_message(account, id, back)?;
    }
    draft.put_mailbox(account, mailbox);
    Ok(Outcome::Undeleted { messages: count })
}

/// Gives a deleted mailbox a name again; its UIDs and UIDVALIDITY are what they were.
pub fn undelete_mailbox(
    draft: &mut Draft,
    account: AccountId,
    id: MailboxId,
    name: &MailboxName,
) -> Result<Outcome, ApplyError> {
    let found = draft.mailbox_or_deleted(account, id)?.filter(|mailbox| mailbox.deleted_ms.is_some());
    let Some(mut mailbox) = found else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    if draft.mailbox_named(account, name)?.is_some() {
        return Ok(Outcome::Refused(Refusal::MailboxExists));
    }
    if draft.account(account)?.is_some_and(|row| row.mailboxes >= MAILBOXES_MAX) {
        return Ok(Outcome::Refused(Refusal::TooManyMailboxes));
    }
    let messages = u64::from(mailbox.messages);
    mailbox.deleted_ms = None;
    mailbox.name = name.clone();
    draft.put_mailbox(account, mailbox);
    draft.put_name(account, name, id);
    if let Some(row) = draft.account_mut(account)? {
        row.mailboxes += 1;
    }
    Ok(Outcome::Undeleted { messages })
}
