//! CREATE (RFC 9051, 6.3.4) with USE (RFC 6154, 3).

use paquebot_protocol::Tag;
use paquebot_protocol::command::Create;
use paquebot_protocol::response::Code;

use crate::answer::{Named, sentence};
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers CREATE. A name that ends in the separator, which says that there will be mailboxes below, makes a mailbox all the same.
pub(crate) async fn create(session: &mut Session, tag: &Tag, command: Create) -> Flow {
    let name = match command.mailbox {
        Ok(name) => name,
        Err(error) => return session.refuse(tag, Expunges::Tell, Some(Code::Cannot), &sentence(&error.to_string())),
    };
    if let Some(unknown) = &command.unknown_use {
        let text = format!("The special use {unknown} is not supported");
        return session.refuse(tag, Expunges::Tell, Some(Code::UseAttr), &text);
    }
    let account = session.account().clone();
    match account.create(&name, &command.special_use).await {
        Ok(mailbox) => {
            let id = account.reader().and_then(|reader| reader.mailbox(mailbox));
            // RFC 8474, 4.1. Another session may have deleted it since: then there is nothing to tell.
            let id = id.ok().flatten().map(|mailbox| mailbox.object_id());
            session.complete(tag, Expunges::Tell, id.as_deref().map(Code::MailboxId), "CREATE completed")
        }
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
    }
}
