//! DELETE (RFC 9051, 6.3.5).

use paquebot_mailbox::{Account, ChangeError};
use paquebot_model::Refusal;
use paquebot_protocol::response::Code;
use paquebot_protocol::{Mailbox, Tag};
use paquebot_types::MailboxName;

use crate::answer::{Named, sentence};
use crate::session::Session;
use crate::state::{Flow, State};
use crate::view::Expunges;

/// Answers DELETE. Mailboxes below stay, and with them the name, as one that cannot be selected. The session's own selected mailbox is
/// left first.
pub(crate) async fn delete(session: &mut Session, tag: &Tag, mailbox: Mailbox) -> Flow {
    let name = match mailbox {
        Ok(name) => name,
        Err(error) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::NonExistent), &sentence(&error.to_string()));
        }
    };
    let account = session.account().clone();
    let is_selected = match (&session.state, account.mailbox_named(&name)) {
        (_, Err(error)) => return session.failed(tag, &error),
        (State::Selected(_, selected), Ok(id)) => id == Some(selected.live.at.mailbox),
        (_, Ok(_)) => false,
    };
    match account.delete(&name).await {
        Ok(()) => {
            if is_selected && session.deselect() {
                session.writer().untagged_ok(Some(Code::Closed), "The selected mailbox is deleted");
            }
            session.complete(tag, Expunges::Tell, None, "DELETE completed")
        }
        // A name that only has mailboxes below it is no mailbox, but the client sees it in LIST (RFC 9051, 6.3.5).
        Err(ChangeError::Refused(Refusal::NoSuchMailbox)) if has_children(&account, &name) => {
            let text = "There are mailboxes below this name, and none of this name";
            session.refuse(tag, Expunges::Tell, Some(Code::HasChildren), text)
        }
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
    }
}

fn has_children(account: &Account, name: &MailboxName) -> bool {
    account.list().is_ok_and(|names| names.get(name).is_some_and(|listed| listed.has_children))
}
