//! DELETE (RFC 9051, 6.3.5).

use paquebot_protocol::response::Code;
use paquebot_protocol::{Mailbox, Tag};

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
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
    }
}
