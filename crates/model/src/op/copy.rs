//! COPY and MOVE within an account (RFC 9051, 6.4.7 and 6.4.8). No body is touched.

use paquebot_types::{AccountId, MailboxId, Uid, UidSet};

use crate::draft::{ApplyError, Draft};
use crate::keywords::{add_keywords, keyword_bits, keywords_of};
use crate::op::append::uids_for;
use crate::op::expunge::{self, Recoverable};
use crate::outcome::{Outcome, Refusal};
use crate::page::Message;
use crate::row::Mailbox;

/// Copies messages with flags, keywords and internal dates to the end of another mailbox, or the same: all that exist, or none.
pub fn copy(
    draft: &mut Draft,
    account: AccountId,
    from: MailboxId,
    uids: &UidSet,
    to: MailboxId,
) -> Result<Outcome, ApplyError> {
    let (Some(source), Some(target)) = (draft.mailbox(account, from)?, draft.mailbox(account, to)?) else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    copy_messages(draft, account, &source, uids, target)
}

/// The same, and the originals are expunged in the same moment. A tombstone of theirs keeps nothing to bring back.
pub fn r#move(
    draft: &mut Draft,
    account: AccountId,
    from: MailboxId,
    uids: &UidSet,
    to: MailboxId,
) -> Result<Outcome, ApplyError> {
    match copy(draft, account, from, uids, to)? {
        Outcome::Copied { uid_validity, source, destination, .. } => {
            let Some(mailbox) = draft.mailbox(account, from)? else {
                return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
            };
            let (_, modseq) = expunge::remove(draft, account, mailbox, &source, |_| true, Recoverable::No)?;
            Ok(Outcome::Copied { uid_validity, source, destination, modseq })
        }
        refused => Ok(refused),
    }
}

fn copy_messages(
    draft: &mut Draft,
    account: AccountId,
    source: &Mailbox,
    uids: &UidSet,
    mut target: Mailbox,
) -> Result<Outcome, ApplyError> {
    let mut messages: Vec<Message> = Vec::new();
    for number in draft.pages_of(account, source.id, uids)? {
        let page = draft.page(account, source.id, number)?;
        messages.extend(page.messages.iter().filter(|message| uids.contains(message.uid)));
    }
    let in_use = messages.iter().fold(0, |bits, message| bits | message.keywords());
    let keywords: Vec<_> = keywords_of(&source.keywords, in_use).cloned().collect();
    if !add_keywords(&mut target.keywords, &keywords) {
        return Ok(Outcome::Refused(Refusal::TooManyKeywords));
    }
    let Some((mut next, after)) = uids_for(target.uid_next, messages.len()) else {
        return Ok(Outcome::Refused(Refusal::NoMoreUids));
    };
    let (mut from_uids, mut to_uids) = (UidSet::new(), UidSet::new());
    let modseq = target.next_modseq();
    for message in messages {
        let uid = Uid::new(next).expect("uids_for gave a range above 0");
        next += 1;
        let names: Vec<_> = keywords_of(&source.keywords, message.keywords()).cloned().collect();
        let mut copy = Message { uid, modseq, save_date: draft.time_seconds(), ..message };
        copy.set_keywords(keyword_bits(&target.keywords, &names));
        target.add(&copy);
        from_uids.insert(message.uid);
        to_uids.insert(uid);
        draft.push_message(account, target.id, copy)?;
    }
    let uid_validity = target.uid_validity;
    if !from_uids.is_empty() {
        target.uid_next = after;
        target.highest_modseq = modseq;
        draft.put_mailbox(account, target);
    }
    Ok(Outcome::Copied { uid_validity, source: from_uids, destination: to_uids, modseq: None })
}
