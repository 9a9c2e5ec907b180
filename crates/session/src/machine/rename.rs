//! RENAME (RFC 9051, 6.3.6).

use paquebot_protocol::response::Code;
use paquebot_protocol::{Mailbox, Tag};

use crate::answer::{Named, sentence};
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers RENAME. Mailboxes below move along, in the same moment; of INBOX only the messages move.
pub(crate) async fn rename(session: &mut Session, tag: &Tag, from: Mailbox, to: Mailbox) -> Flow {
    let (from, to) = match (from, to) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(error), _) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::NonExistent), &sentence(&error.to_string()));
        }
        (_, Err(error)) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::Cannot), &sentence(&error.to_string()));
        }
    };
    let account = session.account().clone();
    match account.rename(&from, &to).await {
        Ok(()) => session.complete(tag, Expunges::Tell, None, "RENAME completed"),
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
    }
}
