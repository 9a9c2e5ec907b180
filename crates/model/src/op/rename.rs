//! RENAME (RFC 9051, 6.3.6).

use paquebot_types::{AccountId, MailboxId, MailboxName, UidSet};

use crate::draft::{ApplyError, Draft, parse_mailbox_id};
use crate::key;
use crate::op::{create, expunge};
use crate::outcome::{Outcome, Refusal};
use crate::page::page_number;

/// Gives a mailbox and all below it new names: messages, UIDs and UIDVALIDITY stay. Of INBOX the messages move to a new mailbox, and INBOX
/// and what is below it stay. Subscriptions are to names and stay as they are.
pub fn rename(
    draft: &mut Draft,
    account: AccountId,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<Outcome, ApplyError> {
    if draft.mailbox_named(account, to)?.is_some() {
        return Ok(Outcome::Refused(Refusal::MailboxExists));
    }
    if from.is_inbox() {
        return rename_inbox(draft, account, to);
    }
    if to == from || to.is_below(from) {
        return Ok(Outcome::Refused(Refusal::BelowItself));
    }
    let moves = match moves(draft, account, from, to)? {
        Ok(moves) => moves,
        Err(refusal) => return Ok(Outcome::Refused(refusal)),
    };
    for (old, _, _) in &moves {
        draft.delete(key::name(account, old));
    }
    for (old, new, id) in moves {
        let Some(mut mailbox) = draft.mailbox(account, id)? else {
            return Err(ApplyError::DamagedRow(key::name(account, &old)));
        };
        mailbox.name = new.clone();
        draft.put_mailbox(account, mailbox);
        draft.put_name(account, &new, id);
    }
    Ok(Outcome::Done)
}

type Moves = Vec<(MailboxName, MailboxName, MailboxId)>;

/// Old name, new name and number of each mailbox that is renamed, judged before anything is changed.
fn moves(
    draft: &Draft,
    account: AccountId,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<Result<Moves, Refusal>, ApplyError> {
    let mut moves = Vec::new();
    if let Some(id) = draft.mailbox_named(account, from)? {
        moves.push((from.clone(), to.clone(), id));
    }
    for (key, value) in draft.scan(&key::names_below(account, from))? {
        let (Some(old), Some(id)) = (key::parse_name(&key), parse_mailbox_id(&value)) else {
            return Err(ApplyError::DamagedRow(key));
        };
        let Some(new) = old.moved(from, to) else {
            return Ok(Err(Refusal::NameTooLong));
        };
        moves.push((old, new, id));
    }
    if moves.is_empty() {
        return Ok(Err(Refusal::NoSuchMailbox));
    }
    for (_, new, _) in &moves {
        // A name that is itself moved away leaves its place free.
        let moved_away = new == from || new.is_below(from);
        if !moved_away && draft.mailbox_named(account, new)?.is_some() {
            return Ok(Err(Refusal::MailboxExists));
        }
    }
    Ok(Ok(moves))
}

/// The new mailbox has the messages with their UIDs under a UIDVALIDITY of its own; in INBOX they are expunged.
fn rename_inbox(draft: &mut Draft, account: AccountId, to: &MailboxName) -> Result<Outcome, ApplyError> {
    let Some(inbox_id) = draft.mailbox_named(account, &MailboxName::inbox())? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    let Some(inbox) = draft.mailbox(account, inbox_id)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchMailbox));
    };
    let target_id = match create::create(draft, account, to, &[])? {
        Outcome::Created { mailbox, .. } => mailbox,
        refused => return Ok(refused),
    };
    let Some(mut target) = draft.mailbox(account, target_id)? else {
        return Err(ApplyError::DamagedRow(key::mailbox(account, target_id)));
    };
    target.keywords = inbox.keywords.clone();
    target.uid_next = inbox.uid_next;
    target.recent_from = inbox.recent_from;
    target.highest_modseq = inbox.highest_modseq.next();
    for number in draft.pages_of(account, inbox_id, &UidSet::all())? {
        for mut message in draft.page(account, inbox_id, number)?.messages.clone() {
            debug_assert_eq!(page_number(message.uid), number);
            message.modseq = target.highest_modseq;
            message.save_date = draft.time_seconds();
            target.add(&message);
            draft.push_message(account, target_id, message)?;
        }
    }
    draft.put_mailbox(account, target);
    expunge::remove(draft, account, inbox, &UidSet::all(), |_| true, expunge::Recoverable::No)?;
    Ok(Outcome::Done)
}
