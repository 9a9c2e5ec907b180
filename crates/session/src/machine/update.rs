//! What has changed in the mailbox, as untagged responses.

use paquebot_model::{Message, keywords_of};
use paquebot_protocol::response::{Code, ResponseWriter};
use paquebot_types::{Flags, Keyword, SeqNum, UidSet};

use crate::session::Session;
use crate::state::{End, Flow, Modes, Selected, State, TAKEN};
use crate::view::{Expunges, Update};

impl Session {
    /// Tells what has changed in the selected mailbox since the client was told last; nothing if none is selected.
    ///
    /// The end comes if another session has deleted the mailbox: its UIDVALIDITY is no more, and there is no response that says so.
    pub(crate) fn tell(&mut self, expunges: Expunges) -> Flow {
        if let Some(update) = self.take_update(expunges) {
            self.write_update(&update);
        }
        match &self.state {
            State::Selected(_, selected) if selected.view.snapshot().gone => {
                Err(End::Bye("The selected mailbox was deleted, renamed or replaced".into()))
            }
            _ => Ok(()),
        }
    }

    /// Brings the view up to date; gives what the client is to be told of it, by [`Self::write_update`].
    pub(crate) fn take_update(&mut self, expunges: Expunges) -> Option<Update> {
        let State::Selected(_, selected) = &mut self.state else { return None };
        let current = selected.bell.borrow_and_update().clone();
        let is_taken = selected.is_taken(&current);
        let mut update = selected.view.refresh(current, expunges);
        if is_taken {
            selected.read_only = true;
            // PERMANENTFLAGS are told again.
            update.keywords = true;
            self.writer().untagged_ok(Some(Code::ReadOnly), TAKEN);
        }
        if update.exists.is_some() {
            self.take_recent();
        }
        Some(update)
    }

    /// Writes an update, in the order of RFC 9051, 7.5.1 and RFC 7162, 3.2.10: what is gone, what is new, what has other flags.
    pub(crate) fn write_update(&mut self, update: &Update) {
        self.write_news(update);
        let (modes, mode) = (self.modes, self.mode());
        let State::Selected(_, selected) = &self.state else { return };
        let mut write = self.conn.writer(mode);
        for (number, message) in &update.changed {
            write_changed(&mut write, modes, selected, *number, message);
        }
    }

    /// Writes what an update says of the mailbox, without the messages whose flags changed.
    pub(super) fn write_news(&mut self, update: &Update) {
        let (modes, mode) = (self.modes, self.mode());
        let State::Selected(_, selected) = &self.state else { return };
        let mut write = self.conn.writer(mode);
        write_expunged(&mut write, modes, update);
        if update.keywords {
            write_flags(&mut write, selected);
        }
        if let Some(exists) = update.exists {
            write.exists(exists);
            if !modes.rev2 {
                write.recent(selected.view.recent_count());
            }
        }
    }
}

fn write_expunged(write: &mut ResponseWriter<'_>, modes: Modes, update: &Update) {
    if modes.qresync {
        let uids: UidSet = update.expunged.iter().map(|(_, uid)| *uid).collect();
        return write.vanished(&uids);
    }
    // From the end: so each number is the one that the client knows.
    for (number, _) in update.expunged.iter().rev() {
        write.expunge(*number);
    }
}

/// FLAGS and PERMANENTFLAGS.
pub(super) fn write_flags(write: &mut ResponseWriter<'_>, selected: &Selected) {
    let keywords = selected.keywords();
    write.flags(Flags::ALL, keywords);
    let code = match selected.read_only {
        true => Code::PermanentFlags { flags: Flags::NONE, keywords: &[], new_keywords: false },
        false => Code::PermanentFlags {
            flags: Flags::ALL,
            keywords,
            new_keywords: keywords.len() < paquebot_model::KEYWORDS_MAX,
        },
    };
    write.untagged_ok(Some(code), "Flags permitted");
}

/// FETCH with a message's flags, as they are told unasked. With QRESYNC the UID comes along (RFC 7162, 3.2.4).
pub(super) fn write_changed(
    write: &mut ResponseWriter<'_>,
    modes: Modes,
    selected: &Selected,
    number: SeqNum,
    message: &Message,
) {
    write_message(write, modes, selected, number, message, Telling { uid: modes.qresync, flags: true });
}

/// What of a message is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    pub(super) uid: bool,
    pub(super) flags: bool,
}

/// FETCH with a message's flags, UID and, if the client knows CONDSTORE, MODSEQ.
pub(super) fn write_message(
    write: &mut ResponseWriter<'_>,
    modes: Modes,
    selected: &Selected,
    number: SeqNum,
    message: &Message,
    telling: Telling,
) {
    let mut fetch = write.fetch(number);
    if telling.uid {
        fetch.uid(message.uid);
    }
    if telling.flags {
        let keywords: Vec<Keyword> = keywords_of(selected.keywords(), message.keywords()).cloned().collect();
        fetch.flags(message.flags, &keywords, !modes.rev2 && selected.view.is_recent(message.uid));
    }
    if modes.condstore {
        fetch.modseq(message.modseq);
    }
    fetch.end();
}
