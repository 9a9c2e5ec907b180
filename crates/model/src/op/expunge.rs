//! EXPUNGE (RFC 9051, 6.4.3; UID EXPUNGE: RFC 4315, 2.1).

use paquebot_types::{AccountId, Flags, MailboxId, ModSeq, UidSet};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::outcome::{Outcome, Refusal};
use crate::page::{Message, Page};
use crate::row::{Mailbox, Row, Tombstone};

/// Whether what is taken out can come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recoverable {
    Yes,
    No,
}

/// Expunges those of `uids` that bear `\Deleted`.
pub fn expunge(draft: &mut Draft, account: AccountId, id: MailboxId, uids: &UidSet) -> Result<Outcome, ApplyError> {
    let Some(mailbox) = draft.mailbox(account, id)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    let deleted = |message: &Message| message.flags.contains(Flags::DELETED);
    let (uids, modseq) = remove(draft, account, mailbox, uids, deleted, Recoverable::Yes)?;
    Ok(Outcome::Expunged { uids, modseq })
}

/// Takes those of `uids` that `which` names out of a mailbox and leaves a tombstone. Gives what was there and the modseq of the change.
pub fn remove(
    draft: &mut Draft,
    account: AccountId,
    mut mailbox: Mailbox,
    uids: &UidSet,
    which: impl Fn(&Message) -> bool,
    recoverable: Recoverable,
) -> Result<(UidSet, Option<ModSeq>), ApplyError> {
    let which = |message: &Message| uids.contains(message.uid) && which(message);
    let mut removed = UidSet::new();
    let mut pages = Vec::new();
    for number in draft.pages_of(account, mailbox.id, uids)? {
        if !draft.page(account, mailbox.id, number)?.messages.iter().any(which) {
            continue;
        }
        let page = draft.page_mut(account, mailbox.id, number)?;
        let (gone, stay): (Vec<Message>, Vec<Message>) = page.messages.iter().partition(|message| which(message));
        page.messages = stay;
        for message in &gone {
            mailbox.subtract(message);
            removed.insert(message.uid);
        }
        if recoverable == Recoverable::Yes {
            pages.push(Page { messages: gone }.encode());
        }
    }
    if removed.is_empty() {
        return Ok((removed, None));
    }
    let modseq = mailbox.next_modseq();
    mailbox.highest_modseq = modseq;
    let tombstone = Tombstone { time_ms: draft.time_ms, uids: removed.clone(), messages: pages };
    draft.put(key::tombstone(account, mailbox.id, modseq), tombstone.encode());
    draft.put_mailbox(account, mailbox);
    Ok((removed, Some(modseq)))
}
