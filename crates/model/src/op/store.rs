//! STORE (RFC 9051, 6.4.6; UNCHANGEDSINCE: RFC 7162, 3.1.3).

use paquebot_types::{AccountId, Flags, MailboxId, ModSeq, UidSet};

use crate::draft::{ApplyError, Draft};
use crate::keywords::{add_keywords, keyword_bits};
use crate::outcome::{Outcome, Refusal};
use crate::page::Message;
use crate::record::{FlagAction, FlagChange};

/// Changes the flags of the messages in `uids` that nobody changed after `unchanged_since`.
///
/// Gives the UIDs left as they were, for the MODIFIED response code. All messages that do change get one modseq, the next of the
/// mailbox; if none changes, the mailbox's stays. UIDs that don't exist are skipped (RFC 9051, 6.4.9).
pub fn store(
    draft: &mut Draft,
    account: AccountId,
    id: MailboxId,
    uids: &UidSet,
    change: &FlagChange,
    unchanged_since: Option<ModSeq>,
) -> Result<Outcome, ApplyError> {
    let Some(mut mailbox) = draft.mailbox(account, id)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    if change.action != FlagAction::Remove && !add_keywords(&mut mailbox.keywords, &change.keywords) {
        return Ok(Outcome::Refused(Refusal::TooManyKeywords));
    }
    let keywords = keyword_bits(&mailbox.keywords, &change.keywords);
    let modseq = mailbox.next_modseq();
    let is_modified = |message: &Message| unchanged_since.is_some_and(|limit| message.modseq > limit);
    let (mut modified, mut changed) = (UidSet::new(), UidSet::new());
    for number in draft.pages_of(account, id, uids)? {
        let page = draft.page(account, id, number)?;
        let mut changes = false;
        for message in page.messages.iter().filter(|message| uids.contains(message.uid)) {
            match is_modified(message) {
                true => modified.insert(message.uid),
                false => changes |= changed_flags(message, change, keywords).is_some(),
            }
        }
        // A page in which nothing changes is not written again.
        if !changes {
            continue;
        }
        for message in &mut draft.page_mut(account, id, number)?.messages {
            if !uids.contains(message.uid) || is_modified(message) {
                continue;
            }
            if let Some((flags, keywords)) = changed_flags(message, change, keywords) {
                mailbox.count_flags(message.flags, -1);
                mailbox.count_flags(flags, 1);
                message.flags = flags;
                message.set_keywords(keywords);
                message.modseq = modseq;
                changed.insert(message.uid);
            }
        }
    }
    if changed.is_empty() {
        return Ok(Outcome::Stored { modified, changed, modseq: None });
    }
    mailbox.highest_modseq = modseq;
    draft.put_mailbox(account, mailbox);
    Ok(Outcome::Stored { modified, changed, modseq: Some(modseq) })
}

/// The message's flags and keywords after the change; `None` if they stay.
fn changed_flags(message: &Message, change: &FlagChange, keywords: u128) -> Option<(Flags, u128)> {
    let new = change.applied(message.flags, message.keywords(), keywords);
    (new != (message.flags, message.keywords())).then_some(new)
}
