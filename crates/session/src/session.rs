//! A session: one connection and how far it has come.

use std::sync::Arc;

use paquebot_auth::SessionGuard;
use paquebot_mailbox::{Account, Reader, ServiceError};
use paquebot_protocol::response::{Code, Mode, ResponseWriter};
use paquebot_protocol::{MessageSet, NumberKind, SequenceSet};

use tokio::sync::watch;
use tokio::time::Instant;

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
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// When a login must have succeeded.
    pub(crate) login_deadline: Instant,
    /// Logins that failed on this connection.
    pub(crate) failed_logins: u32,
    /// When the command that is being read began.
    pub(crate) command_began: Option<Instant>,
    /// What to answer once a refused command has been read to its end.
    pub(crate) refusal: Vec<u8>,
    /// Commands in a row that got BAD, and whether the current one is among them.
    pub(crate) bad_commands: u32,
    pub(crate) was_bad: bool,
    /// The session's place among all.
    pub(crate) place: SessionGuard,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, conn: Conn, place: SessionGuard, login_deadline: Instant) -> Self {
        Self {
            stopping: shared.stopping.clone(),
            shared,
            conn,
            state: State::NotAuthenticated,
            modes: Modes::default(),
            login_deadline,
            failed_logins: 0,
            command_began: None,
            refusal: Vec::new(),
            bad_commands: 0,
            was_bad: false,
            place,
        }
    }

    /// Whether a password may cross this connection: under TLS, or from the machine itself.
    pub(crate) fn takes_passwords(&self) -> bool {
        let is_local = self.conn.peer.is_none_or(|peer| peer.is_loopback());
        is_local || self.shared.config.plain_login || self.conn.stream.is_tls()
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

    /// As [`Account::reach_last`]; a client is told when what it is about to see may not be the latest.
    pub(crate) async fn reach_last(&mut self) {
        if !self.account().reach_last().await {
            let text = "The latest changes cannot be asked for now: this is what this server has";
            self.writer().untagged_no(Some(Code::Unavailable), text);
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
