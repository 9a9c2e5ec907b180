//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051, 6.3.7 and 6.3.8).

use paquebot_protocol::response::Code;
use paquebot_protocol::{Mailbox, Tag};

use crate::answer::{Named, sentence};
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    Begin,
    End,
}

/// Answers SUBSCRIBE and UNSUBSCRIBE. A name need not be a mailbox's: mailboxes come and go, subscriptions stay (RFC 9051, 6.3.7).
pub(crate) async fn subscribe(session: &mut Session, tag: &Tag, mailbox: Mailbox, to: Subscription) -> Flow {
    let name = match mailbox {
        Ok(name) => name,
        Err(error) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::NonExistent), &sentence(&error.to_string()));
        }
    };
    let account = session.account().clone();
    let (done, text) = match to {
        Subscription::Begin => (account.subscribe(&name).await, "SUBSCRIBE completed"),
        Subscription::End => (account.unsubscribe(&name).await, "UNSUBSCRIBE completed"),
    };
    match done {
        Ok(()) => session.complete(tag, Expunges::Tell, None, text),
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
    }
}
