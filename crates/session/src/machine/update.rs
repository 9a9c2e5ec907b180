//! What has changed in the mailbox, as untagged responses.

use paquebot_model::{Message, keywords_of};
use paquebot_protocol::response::{Code, ResponseWriter};
use paquebot_types::{Flags, Keyword, SeqNum, UidSet};

use crate::session::Session;
use crate::state::{Flow, Modes, Selected, State};
use crate::view::{Expunges, Update};

impl Session {
    /// Tells what has changed in the selected mailbox since the client was told last; nothing if none is selected.
    pub(crate) fn tell(&mut self, expunges: Expunges) -> Flow {
        let Some(update) = self.take_update(expunges) else { return Ok(()) };
        self.write_update(&update);
        Ok(())
    }

    /// Brings the view up to date; gives what the client is to be told of it, by [`Self::write_update`].
    pub(crate) fn take_update(&mut self, expunges: Expunges) -> Option<Update> {
        let State::Selected(_, selected) = &mut self.state else { return None };
        let current = selected.live.current();
        Some(selected.view.refresh(current, expunges))
    }

    /// Writes an update, in the order of RFC 9051, 7.5.1 and RFC 7162, 3.2.10: what is gone, what is new, what has other flags.
    pub(crate) fn write_update(&mut self, update: &Update) {
        let (modes, mode) = (self.modes, self.mode());
        let State::Selected(_, selected) = &mut self.state else { return };
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
        for (number, message) in &update.changed {
            write_changed(&mut write, modes, selected, *number, message);
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

/// FETCH with a message's flags, as they are told unasked.
pub(super) fn write_changed(
    write: &mut ResponseWriter<'_>,
    modes: Modes,
    selected: &Selected,
    number: SeqNum,
    message: &Message,
) {
    let keywords: Vec<Keyword> = keywords_of(selected.keywords(), message.keywords()).cloned().collect();
    let mut fetch = write.fetch(number);
    if modes.qresync {
        fetch.uid(message.uid);
    }
    fetch.flags(message.flags, &keywords, !modes.rev2 && selected.view.is_recent(message.uid));
    if modes.condstore {
        fetch.modseq(message.modseq);
    }
    fetch.end();
}
