//! Commands that show that a client knows CONDSTORE.

use paquebot_protocol::response::Code;

use crate::session::Session;
use crate::state::State;

impl Session {
    /// From now on MODSEQ is told with flags. The first such command with a mailbox selected is told its HIGHESTMODSEQ, as far as the view
    /// goes (RFC 7162, 3.1).
    pub(crate) fn enable_condstore(&mut self) {
        if std::mem::replace(&mut self.modes.condstore, true) {
            return;
        }
        if let State::Selected(_, selected) = &self.state {
            let modseq = selected.highest_modseq();
            self.writer().untagged_ok(Some(Code::HighestModSeq(modseq)), "CONDSTORE is enabled");
        }
    }
}
