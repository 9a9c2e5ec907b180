//! APPEND and delivery (RFC 9051, 6.3.12; MULTIAPPEND: RFC 3502).

use paquebot_types::{AccountId, BlobId, MailboxId, Uid, UidSet};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::keywords::{add_keywords, keyword_bits};
use crate::outcome::{Outcome, Refusal};
use crate::page::Message;
use crate::record::NewMessage;
use crate::row::{Account, Blob};

/// Puts messages at the end of a mailbox, all of them with one modseq; all or none.
pub fn append(
    draft: &mut Draft,
    account: AccountId,
    id: MailboxId,
    messages: &[NewMessage],
) -> Result<Outcome, ApplyError> {
    let Some(mut mailbox) = draft.mailbox(account, id)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    if messages.is_empty() {
        let (uid_validity, modseq) = (mailbox.uid_validity, mailbox.highest_modseq);
        return Ok(Outcome::Appended { uid_validity, uids: UidSet::new(), modseq });
    }
    if !messages.iter().all(|message| add_keywords(&mut mailbox.keywords, &message.keywords)) {
        return Ok(Outcome::Refused(Refusal::TooManyKeywords));
    }
    let Some((mut next, after)) = uids_for(mailbox.uid_next, messages.len()) else {
        return Ok(Outcome::Refused(Refusal::NoMoreUids));
    };
    let modseq = mailbox.next_modseq();
    let mut uids = UidSet::new();
    for new in messages {
        let blob = add_blob(draft, account, new)?;
        let uid = Uid::new(next).expect("uids_for gave a range above 0");
        next += 1;
        let mut message = Message::new(uid, blob, new.size, new.internal_date, draft.time_seconds());
        message.modseq = modseq;
        message.flags = new.flags;
        message.set_keywords(keyword_bits(&mailbox.keywords, &new.keywords));
        mailbox.add(&message);
        uids.insert(uid);
        draft.push_message(account, id, message)?;
    }
    mailbox.uid_next = after;
    mailbox.highest_modseq = modseq;
    let outcome = Outcome::Appended { uid_validity: mailbox.uid_validity, uids, modseq };
    draft.put_mailbox(account, mailbox);
    Ok(outcome)
}

/// The first of `count` UIDs and the UIDNEXT after them; `None` when there are not as many left.
pub fn uids_for(next: Option<Uid>, count: usize) -> Option<(u32, Option<Uid>)> {
    let first = next?.get();
    let after = u64::from(first) + count as u64;
    // The largest UID is given to nobody, so that UIDNEXT always has a value that can be told.
    if after > u64::from(u32::MAX) {
        return None;
    }
    Some((first, Uid::new(after as u32)))
}

fn add_blob(draft: &mut Draft, account: AccountId, new: &NewMessage) -> Result<BlobId, ApplyError> {
    // A mailbox without an account, or a number that no count of messages reaches: the index is damaged.
    let next =
        |row: &mut Account| row.last_blob.checked_add(1).and_then(BlobId::new).inspect(|id| row.last_blob = id.get());
    let Some(id) = draft.account_mut(account)?.and_then(next) else {
        return Err(ApplyError::DamagedRow(key::account(account)));
    };
    let blob = Blob { hash: new.body, size: new.size, thread: new.thread, summary: &new.summary };
    draft.put(key::blob(account, id), blob.encode());
    draft.added_blob(account, id, new.body);
    Ok(id)
}
