//! COPY (RFC 9051, 6.4.7) and MOVE (6.4.8).

use paquebot_mailbox::ChangeError;
use paquebot_model::{Outcome, Refusal};
use paquebot_protocol::command::Copy;
use paquebot_protocol::response::Code;
use paquebot_protocol::{NumberKind, Tag};
use paquebot_types::{UidSet, UidValidity};

use crate::answer::{Named, sentence};
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Originals {
    Stay,
    Go,
}

/// Answers COPY and MOVE, and their UID forms.
///
/// UIDs that are gone are passed over, all of them being gone included: a NO would have clients try for ever. By sequence number a client
/// means just these messages, so if one is gone nothing is done (RFC 2180, 4.4.1; RFC 5530: EXPUNGEISSUED).
pub(crate) async fn copy(session: &mut Session, tag: &Tag, command: Copy, originals: Originals) -> Flow {
    let kind = command.messages.kind;
    let numbers = match session.pick(kind, &command.messages.set) {
        Ok(numbers) => numbers,
        Err(error) => return session.bad(Some(tag), &error.to_string()),
    };
    let uids = session.selected().view.uids_of(&numbers);
    if let Some(why) = session.selected().unchangeable().filter(|_| originals == Originals::Go) {
        return session.refuse(tag, Expunges::Tell, Some(Code::ReadOnly), why);
    }
    if kind == NumberKind::SeqNum && some_are_gone(session, &uids) {
        let text = "Some of the messages are expunged";
        return session.refuse(tag, Expunges::Tell, Some(Code::ExpungeIssued), text);
    }
    let name = match command.to {
        Ok(name) => name,
        Err(error) => return session.refuse(tag, Expunges::Tell, Some(Code::Cannot), &sentence(&error.to_string())),
    };
    let (account, from) = (session.account().clone(), session.selected().live.at.mailbox);
    let to = match account.mailbox_named(&name) {
        Ok(Some(to)) => to,
        Ok(None) => {
            return session.refuse(tag, Expunges::Tell, Some(Code::TryCreate), "There is no such mailbox");
        }
        Err(error) => return session.failed(tag, &error),
    };
    let outcome = match originals {
        Originals::Stay => account.copy(from, uids, to).await,
        Originals::Go => account.r#move(from, uids, to).await,
    };
    match outcome {
        Ok(Outcome::Copied { uid_validity, source, destination, modseq }) => {
            let copied = Copied { uid_validity, source, destination };
            match originals {
                Originals::Stay => session.complete(tag, Expunges::Tell, copied.code(), "COPY completed"),
                Originals::Go => {
                    // COPYUID comes first, while the client still knows the messages (RFC 6851, 4.3).
                    if let Some(code) = copied.code() {
                        session.writer().untagged_ok(Some(code), "Moved");
                    }
                    let code = modseq.filter(|_| session.modes.condstore).map(Code::HighestModSeq);
                    session.complete(tag, Expunges::Tell, code, "MOVE completed")
                }
            }
        }
        Ok(_) => session.complete(tag, Expunges::Tell, None, "COPY completed"),
        Err(error) => {
            let own_is_gone = matches!(&error, ChangeError::Refused(Refusal::NoSuchMailbox))
                && session.selected().live.current().gone;
            let named = if own_is_gone { Named::Itself } else { Named::Target };
            session.not_changed(tag, &error, Expunges::Tell, named)
        }
    }
}

/// Whether some of the messages are gone, told or not.
fn some_are_gone(session: &Session, uids: &UidSet) -> bool {
    let current = session.selected().live.current();
    uids.iter().any(|uid| current.messages.find(uid).is_none())
}

struct Copied {
    uid_validity: UidValidity,
    source: UidSet,
    destination: UidSet,
}

impl Copied {
    /// COPYUID; nothing if nothing was copied.
    fn code(&self) -> Option<Code<'_>> {
        let Self { uid_validity, source, destination } = self;
        (!source.is_empty()).then_some(Code::CopyUid { uid_validity: *uid_validity, from: source, to: destination })
    }
}
