//! EXPUNGE (RFC 9051, 6.4.3), UID EXPUNGE (6.4.9), CLOSE (6.4.1) and UNSELECT (6.4.2).

use paquebot_mailbox::ChangeError;
use paquebot_model::{Outcome, Refusal};
use paquebot_protocol::response::Code;
use paquebot_protocol::{MessageSet, NumberKind, Tag};
use paquebot_types::UidSet;

use crate::answer::Named;
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers EXPUNGE, and UID EXPUNGE of these messages.
pub(crate) async fn expunge(session: &mut Session, tag: &Tag, only: Option<MessageSet>) -> Flow {
    if let Some(why) = session.selected().unchangeable() {
        return session.refuse(tag, Expunges::Tell, Some(Code::ReadOnly), why);
    }
    let uids = match only {
        None => UidSet::all(),
        Some(set) => match session.pick(NumberKind::Uid, &set) {
            Ok(numbers) => session.selected().view.uids_of(&numbers),
            Err(error) => return session.bad(Some(tag), &error.to_string()),
        },
    };
    let (account, mailbox) = (session.account().clone(), session.selected().live.at.mailbox);
    match account.expunge(mailbox, uids).await {
        Ok(Outcome::Expunged { modseq, .. }) => {
            // RFC 7162, 3.2.7: so a client need not ask where it stands now.
            let code = modseq.filter(|_| session.modes.condstore).map(Code::HighestModSeq);
            session.complete(tag, Expunges::Tell, code, "EXPUNGE completed")
        }
        Ok(_) => session.complete(tag, Expunges::Tell, None, "EXPUNGE completed"),
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
    }
}

/// Answers CLOSE: what bears `\Deleted` goes without a word, unless the mailbox was opened by EXAMINE.
pub(crate) async fn close(session: &mut Session, tag: &Tag) -> Flow {
    let selected = session.selected();
    let mut code = None;
    if selected.unchangeable().is_none() && selected.live.current().mailbox.deleted > 0 {
        let (account, mailbox) = (session.account().clone(), selected.live.at.mailbox);
        match account.expunge(mailbox, UidSet::all()).await {
            Ok(Outcome::Expunged { modseq, .. }) => {
                code = modseq.filter(|_| session.modes.condstore).map(Code::HighestModSeq);
            }
            // A mailbox that another session has deleted is left like any other.
            Ok(_) | Err(ChangeError::Refused(Refusal::NoSuchMailbox)) => {}
            Err(error) => return session.not_changed(tag, &error, Expunges::Tell, Named::Itself),
        }
    }
    session.deselect();
    session.writer().ok(tag, code, "CLOSE completed");
    Ok(())
}

/// Answers UNSELECT: nothing goes.
pub(crate) fn unselect(session: &mut Session, tag: &Tag) -> Flow {
    session.deselect();
    session.writer().ok(tag, None, "UNSELECT completed");
    Ok(())
}
