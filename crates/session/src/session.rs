//! A session: one connection and how far it has come.

use std::sync::Arc;

use paquebot_mailbox::{Account, Reader, ServiceError};
use paquebot_protocol::response::{Mode, ResponseWriter};
use paquebot_protocol::{MessageSet, NumberKind, SequenceSet};

use crate::conn::Conn;
use crate::shared::Shared;
use crate::state::{Flow, Modes, Selected, State};
use crate::view::NoSuchNumber;

/// One connection and how far it has come.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Conn,
    pub(crate) state: State,
    pub(crate) modes: Modes,
    /// Commands in a row that got BAD.
    pub(crate) bad_commands: u32,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, conn: Conn) -> Self {
        Self { shared, conn, state: State::NotAuthenticated, modes: Modes::default(), bad_commands: 0 }
    }

    /// Writes responses to the end of the output.
    pub(crate) fn writer(&mut self) -> ResponseWriter<'_> {
        let mode = self.mode();
        self.conn.writer(mode)
    }

    /// What responses look like to this client.
    pub(crate) fn mode(&self) -> Mode {
        self.modes.writing()
    }

    /// The account that the session acts for. Only commands that need one may ask.
    pub(crate) fn account(&self) -> &Account {
        match &self.state {
            State::Authenticated(identity) | State::Selected(identity, _) => &identity.account,
            State::NotAuthenticated => unreachable!("the dispatcher lets only commands of the authenticated state ask"),
        }
    }

    /// The selected mailbox. Only commands of the selected state may ask.
    pub(crate) fn selected(&self) -> &Selected {
        match &self.state {
            State::Selected(_, selected) => selected,
            _ => unreachable!("the dispatcher lets only commands of the selected state ask"),
        }
    }

    /// As [`Self::selected`].
    pub(crate) fn selected_mut(&mut self) -> &mut Selected {
        match &mut self.state {
            State::Selected(_, selected) => selected,
            _ => unreachable!("the dispatcher lets only commands of the selected state ask"),
        }
    }

    /// The store as it is now. Not to be kept while the client is waited for.
    pub(crate) fn reader(&self) -> Result<Reader, ServiceError> {
        self.account().reader()
    }

    /// The messages that a command names: see [`Selected::pick`].
    pub(crate) fn pick(&self, kind: NumberKind, set: &MessageSet) -> Result<SequenceSet, NoSuchNumber> {
        self.selected().pick(kind, set)
    }

    /// Ends a slice of a long answer: what there is much of is written, and other sessions get their turn.
    pub(crate) async fn end_slice(&mut self) -> Flow {
        self.conn.flush_if_full().await?;
        tokio::task::yield_now().await;
        Ok(())
    }
}
