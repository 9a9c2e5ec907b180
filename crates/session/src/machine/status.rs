//! STATUS (RFC 9051, 6.3.11) with HIGHESTMODSEQ (RFC 7162), SIZE (RFC 8438), APPENDLIMIT (RFC 7889) and MAILBOXID (RFC 8474).

use paquebot_mailbox::ServiceError;
use paquebot_model::Mailbox;
use paquebot_protocol::command::Status;
use paquebot_protocol::response::{Code, StatusValue};
use paquebot_protocol::{StatusItem, Tag};
use paquebot_types::{MailboxName, Uid};

use crate::answer::sentence;
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers STATUS.
pub(crate) async fn status(session: &mut Session, tag: &Tag, command: Status) -> Flow {
    let name = match command.mailbox {
        Ok(name) => name,
        Err(error) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::NonExistent), &sentence(&error.to_string()));
        }
    };
    session.reach_last().await;
    if command.items.contains(&StatusItem::HighestModSeq) {
        session.enable_condstore();
    }
    let found = match session.account().status(&name) {
        Ok(Some(mailbox)) => tell(session, &name, &mailbox, &command.items),
        Ok(None) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::NonExistent), "There is no such mailbox");
        }
        Err(error) => Err(error),
    };
    match found {
        Ok(()) => session.complete(tag, Expunges::Tell, None, "STATUS completed"),
        Err(error) => session.failed(tag, &error),
    }
}

/// Writes a STATUS response.
pub(super) fn tell(
    session: &mut Session,
    name: &MailboxName,
    mailbox: &Mailbox,
    items: &[StatusItem],
) -> Result<(), ServiceError> {
    let object_id = mailbox.object_id();
    let recent = match items.contains(&StatusItem::Recent) {
        true => recent(session, mailbox)?,
        false => 0,
    };
    let append_limit = session.shared.config.limits.append_bytes;
    // Where there are no UIDs left there is no next one; the last comes closest.
    let uid_next = mailbox.uid_next.unwrap_or(Uid::MAX);
    let value = |item: &StatusItem| match item {
        StatusItem::Messages => StatusValue::Messages(mailbox.messages),
        StatusItem::Recent => StatusValue::Recent(recent),
        StatusItem::UidNext => StatusValue::UidNext(uid_next),
        StatusItem::UidValidity => StatusValue::UidValidity(mailbox.uid_validity),
        StatusItem::Unseen => StatusValue::Unseen(mailbox.unseen),
        StatusItem::Deleted => StatusValue::Deleted(mailbox.deleted),
        StatusItem::Size => StatusValue::Size(mailbox.size),
        StatusItem::HighestModSeq => StatusValue::HighestModSeq(mailbox.highest_modseq),
        StatusItem::MailboxId => StatusValue::MailboxId(&object_id),
        StatusItem::AppendLimit => StatusValue::AppendLimit(Some(append_limit)),
    };
    let values: Vec<StatusValue<'_>> = items.iter().map(value).collect();
    session.writer().status(name, &values);
    Ok(())
}

/// How many messages are `\Recent` to whoever asks first.
fn recent(session: &Session, mailbox: &Mailbox) -> Result<u32, ServiceError> {
    if mailbox.uid_next.is_some_and(|next| mailbox.recent_from >= next.get()) {
        return Ok(0);
    }
    let Some(live) = session.account().open(mailbox.id)? else { return Ok(0) };
    let (messages, from) = (live.current().messages.clone(), live.recent_from());
    Ok(messages.len() - Uid::new(from).map_or(0, |from| messages.rank(from)))
}
