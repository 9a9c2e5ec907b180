//! Passing a connection on to the node that hosts its account, once its client has logged in.
//!
//! The node that was connected to keeps the socket, TLS, and the connection's places in the limits; commands are answered by the other,
//! the LOGIN included, and octets go back and forth. The other node's first octet is its [`Verdict`], which the client does not see: as
//! long as that has not come, the login can still be refused by the node that was connected to.

mod preface;
mod pump;
mod take_on;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use paquebot_auth::{AccountGuard, UserName};
use paquebot_protocol::Tag;
use paquebot_protocol::response::Code;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::timeout;

pub use self::preface::{Preface, PrefaceError};
pub(crate) use self::pump::{Ended, pump};
pub use self::take_on::serve_passed_on;
use crate::session::Session;
use crate::shared::Counters;
use crate::state::{End, Flow};

/// How long it may take to find and reach the node that hosts an account, and to hear that it takes the connection on.
const REACH_TIME: Duration = Duration::from_secs(10);

/// Octets in both directions: a connection to another node, say.
pub trait Pipe: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Pipe for T {}

/// Where an account's connections are served.
pub enum Route {
    Here,
    /// On another node, to which this pipe leads: its other end is given to [`serve_passed_on`] with the same preface.
    ///
    /// When that node or the way to it fails, so must the pipe, in bounded time: a client that waits for nothing has no other way to
    /// learn of it. An end without TLS's close notification is a failure, not an end.
    There(Box<dyn Pipe>),
    /// By no node that could be reached; why, for the log.
    Nowhere(String),
}

/// A route that is being looked for.
pub type Routing<'a> = Pin<Box<dyn Future<Output = Route> + Send + 'a>>;

/// Knows where accounts are served. On one machine there is none.
pub trait Router: Send + Sync {
    /// Finds where the preface's login is served, and reaches it. It is dropped when it takes long.
    fn route<'a>(&'a self, preface: &'a Preface) -> Routing<'a>;

    /// Whether this node serves the login's account: what another node passed on is not passed on again.
    fn is_here(&self, login: &str) -> bool;
}

/// Whether the other node takes a connection on: the first octet that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Verdict {
    Taken = 0,
    /// The account is not served there, or not now.
    Unavailable = 1,
    /// The account or the client's address has too many sessions there.
    Limit = 2,
}

impl Verdict {
    fn from_octet(octet: u8) -> Self {
        match octet {
            0 => Self::Taken,
            2 => Self::Limit,
            _ => Self::Unavailable,
        }
    }
}

/// A connection that another node has taken on.
pub(crate) struct PassedOn {
    pub(crate) pipe: Box<dyn Pipe>,
    /// The session's place among its account's.
    pub(crate) place: AccountGuard,
}

impl fmt::Debug for PassedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassedOn").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Where a login is to be served.
pub(crate) enum Served {
    Here(AccountGuard),
    /// Not at all, as the client has been told.
    Refused,
}

/// Passes the connection on if the account is served elsewhere; then the session ends here with [`End::PassedOn`].
pub(crate) async fn pass_on(
    session: &mut Session,
    tag: &Tag,
    user: &UserName,
    place: AccountGuard,
) -> Result<Served, End> {
    let Some(router) = session.shared.router.clone() else { return Ok(Served::Here(place)) };
    let preface = Preface {
        client: session.conn.peer,
        tls: session.conn.stream.is_tls(),
        login: user.as_str().into(),
        tag: tag.as_str().into(),
    };
    let reached = timeout(REACH_TIME, async {
        match router.route(&preface).await {
            Route::There(mut pipe) => {
                let verdict = pipe.read_u8().await.map(Verdict::from_octet);
                Reached::There(pipe, verdict)
            }
            Route::Here => Reached::Here,
            Route::Nowhere(why) => Reached::Nowhere(why),
        }
    });
    let why = match reached.await {
        Ok(Reached::Here) => return Ok(Served::Here(place)),
        Ok(Reached::There(pipe, Ok(Verdict::Taken))) => {
            Counters::count(&session.shared.counters.passed_on);
            return Err(End::PassedOn(Box::new(PassedOn { pipe, place })));
        }
        Ok(Reached::There(_, Ok(Verdict::Limit))) => {
            tracing::info!(user = user.as_str(), "login refused: too many sessions on the node that hosts the account");
            session.writer().no(tag, Some(Code::Limit), "This account has as many sessions as it may");
            return Ok(Served::Refused);
        }
        Ok(Reached::There(_, Ok(Verdict::Unavailable))) => "the node that should host the account does not".to_owned(),
        Ok(Reached::There(_, Err(error))) => format!("the node that hosts the account did not answer: {error}"),
        Ok(Reached::Nowhere(why)) => why,
        Err(_) => "the node that hosts the account cannot be reached in time".to_owned(),
    };
    Counters::count(&session.shared.counters.failures);
    tracing::warn!(user = user.as_str(), why, "a connection cannot be passed on");
    session.writer().no(tag, Some(Code::Unavailable), "Your mail cannot be reached now; try again later");
    Ok(Served::Refused)
}

enum Reached {
    Here,
    There(Box<dyn Pipe>, std::io::Result<Verdict>),
    Nowhere(String),
}

/// The octets of a connection that has been passed on, to its end. `pending` came from the client after its login.
pub(crate) async fn carry(session: Box<Session>, mut passed_on: PassedOn) -> Flow {
    let Session { shared, conn, mut stopping, place: _place, .. } = *session;
    let (mut client, pending) = conn.into_parts();
    let stop = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
    let patience = shared.config.write_timeout;
    let pumped = pump(client.transport(), pending, &mut passed_on.pipe, stop, patience).await;
    Counters::add(&shared.counters.bytes_read, pumped.from_client);
    Counters::add(&shared.counters.bytes_written, pumped.to_client);
    match pumped.ended {
        Ended::Orderly => {
            tracing::debug!("the passed-on connection ended");
            crate::serve::drain(&mut client).await;
            Ok(())
        }
        Ended::ClientBroke(error) => Err(End::Broken(error)),
        // The client may be in the middle of a literal, so it can be told by nothing but the connection's end, which is no orderly one.
        Ended::PipeBroke(error) => {
            Counters::count(&shared.counters.cut);
            tracing::warn!(%error, "cut: the node that serves the account went away");
            Ok(())
        }
        Ended::Stalled => {
            Counters::count(&shared.counters.cut);
            Err(End::SlowReader)
        }
    }
}
