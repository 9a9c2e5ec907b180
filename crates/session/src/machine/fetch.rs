//! FETCH (RFC 9051, 6.4.5) with CHANGEDSINCE and VANISHED (RFC 7162, 3.1.4 and 3.2.6).

mod body;
mod items;
mod job;

use paquebot_mailbox::{ChangeError, ServiceError};
use paquebot_model::{FlagAction, FlagChange};
use paquebot_protocol::command::{Fetch, FetchItem};
use paquebot_protocol::response::Code;
use paquebot_protocol::{MessageSet, SequenceSet, Tag};
use paquebot_replica::ProposeError;
use paquebot_types::{Flags, ModSeq, Uid, UidSet};

use self::job::Job;
use crate::session::Session;
use crate::state::{End, Flow};
use crate::view::Expunges;

/// Answers FETCH and UID FETCH.
///
/// Messages that are gone but still in the client's view are served like the others. What cannot be read fails by itself: the rest is
/// served, and the command ends in NO.
pub(crate) async fn fetch(session: &mut Session, tag: &Tag, command: Fetch) -> Flow {
    if command.vanished && !session.modes.qresync {
        return session.bad(Some(tag), "VANISHED needs ENABLE QRESYNC");
    }
    let mut numbers = match session.pick(command.messages.kind, &command.messages.set) {
        Ok(numbers) => numbers,
        Err(error) => return session.bad(Some(tag), &error.to_string()),
    };
    if command.changed_since.is_some() || command.items.contains(&FetchItem::ModSeq) {
        session.enable_condstore();
    }
    if let Some(modseq) = command.changed_since {
        numbers = changed_since(session, &numbers, modseq);
        if command.vanished
            && let Err(error) = tell_vanished(session, &command.messages.set, modseq)
        {
            return session.failed(tag, &error);
        }
    }
    let seen = set_seen(session, &command, &numbers).await?;
    let mut job = Job::new(session, &command, seen);
    job.run(session, &numbers).await?;
    let expunges = Expunges::after(command.messages.kind);
    match job.failure() {
        None => session.complete(tag, expunges, None, "FETCH completed"),
        Some(failure) => session.refuse(tag, expunges, Some(failure.code()), failure.text()),
    }
}

/// Those of the messages that changed after `modseq`.
fn changed_since(session: &Session, numbers: &SequenceSet, modseq: ModSeq) -> SequenceSet {
    let picked = session.selected().view.picked(numbers);
    picked.filter(|(_, message)| message.modseq > modseq).map(|(number, _)| number.get()).collect()
}

/// VANISHED (EARLIER) for those of the named UIDs that were expunged after `modseq`.
///
/// `*` stands for the largest UID that there can be, not for the last message's: what was expunged may have been the last. Messages that
/// are gone but still in the view are told as usual, when their time comes.
fn tell_vanished(session: &mut Session, set: &MessageSet, modseq: ModSeq) -> Result<(), ServiceError> {
    let selected = session.selected();
    let named = match set {
        MessageSet::Saved => selected.saved.clone(),
        MessageSet::Numbers(set) => set.to_uids(Some(Uid::MAX)),
    };
    let expunged = session.account().expunged_since(selected.live.at.mailbox, modseq)?;
    let vanished = selected.view.without_messages_in_it(expunged.intersection(&named));
    session.writer().vanished_earlier(&vanished);
    Ok(())
}

/// Sets `\Seen` where an item asks for it, by one change for all messages, before any of them is sent; gives those whose new flags are to be
/// told with them.
///
/// Reading goes on where nothing can be changed: the client is warned, and finds the flags as they are.
async fn set_seen(session: &mut Session, command: &Fetch, numbers: &SequenceSet) -> Result<UidSet, End> {
    let selected = session.selected();
    if selected.unchangeable().is_some() || !command.items.iter().any(FetchItem::sets_seen) {
        return Ok(UidSet::new());
    }
    let view = &selected.view;
    let is_unseen = |flags: Flags| !flags.contains(Flags::SEEN);
    let picked = view.picked(numbers).filter(|(_, message)| is_unseen(message.flags) && !view.is_ghost(message.uid));
    let unseen: UidSet = picked.map(|(_, message)| message.uid).collect();
    if unseen.is_empty() {
        return Ok(unseen);
    }
    let (account, mailbox) = (session.account().clone(), selected.live.at.mailbox);
    let change = FlagChange { action: FlagAction::Add, flags: Flags::SEEN, keywords: Vec::new() };
    match account.store(mailbox, unseen.clone(), change, None).await {
        Ok(_) => {}
        Err(ChangeError::Failed(ServiceError::Propose(ProposeError::Unknown(why)))) => return Err(End::Unknown(why)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "\\Seen was not set");
            session.writer().untagged_no(Some(Code::Unavailable), "\\Seen could not be set");
        }
    }
    let mut told = UidSet::new();
    if let Some(mut update) = session.take_update(Expunges::Hold) {
        update.changed.retain(|(_, message)| {
            let is_own = unseen.contains(message.uid);
            if is_own {
                told.insert(message.uid);
            }
            !is_own
        });
        session.write_update(&update);
    }
    Ok(told)
}
