//! Serving a connection that another node has passed on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use paquebot_auth::{AccountGuard, SessionGuard, UserName};
use paquebot_mailbox::Account;
use paquebot_protocol::Tag;
use paquebot_protocol::response::Code;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, field};

use super::{Pipe, Preface, REACH_TIME, Verdict};
use crate::conn::Conn;
use crate::serve::{say_goodbye, talk};
use crate::session::Session;
use crate::shared::{Counters, Shared};
use crate::state::{Identity, State};
use crate::stream::Stream;

/// Serves a connection that another node has passed on, to its end.
///
/// The login is checked against this node's limits, not against passwords: that is done. Its command is answered here. Where the account
/// is not served here the other node is told so, and the client's login fails.
pub fn serve_passed_on(pipe: Box<dyn Pipe>, preface: Preface, shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let peer = preface.client.map(field::display);
    let span = tracing::info_span!("session", id = number, peer, user = preface.login, passed_on = true);
    Box::pin(run(pipe, preface, shared)).instrument(span)
}

async fn run(mut pipe: Box<dyn Pipe>, preface: Preface, shared: Arc<Shared>) {
    let admitted = match timeout(REACH_TIME, admit(&preface, &shared)).await {
        Ok(Ok(admitted)) => Ok(admitted),
        Ok(Err(verdict)) => Err(verdict),
        Err(_) => Err(Verdict::Unavailable),
    };
    let verdict = admitted.as_ref().err().copied().unwrap_or(Verdict::Taken);
    let told = timeout(shared.config.write_timeout, async {
        pipe.write_u8(verdict as u8).await?;
        pipe.flush().await
    });
    if !matches!(told.await, Ok(Ok(()))) {
        return tracing::debug!("the node that passed a connection on is gone");
    }
    let Ok(Admitted { place, identity, tag }) = admitted else {
        Counters::count(&shared.counters.cut);
        let _ = timeout(shared.config.write_timeout, pipe.shutdown()).await;
        return;
    };
    Counters::count(&shared.counters.taken_on);
    Counters::count(&shared.counters.logins);
    tracing::info!("took a connection on");
    let conn = Conn::new(Stream::passed_on(pipe, preface.tls), preface.client, shared.clone());
    let mut session = Box::new(Session::new(shared, conn, place, Instant::now()));
    session.log_in(&tag, identity);
    let end = talk(&mut session).await;
    Box::pin(say_goodbye(&mut session, end)).await;
}

/// What a session begins with.
struct Admitted {
    place: SessionGuard,
    identity: Identity,
    tag: Tag,
}

async fn admit(preface: &Preface, shared: &Arc<Shared>) -> Result<Admitted, Verdict> {
    let is_here = shared.router.as_ref().is_some_and(|router| router.is_here(&preface.login));
    let named = (preface.login.parse::<UserName>(), Tag::new(preface.tag.as_bytes()));
    let (true, (Ok(user), Some(tag))) = (is_here, named) else {
        tracing::warn!("another node passed a connection on that is not to be served here");
        return Err(Verdict::Unavailable);
    };
    let (place, account_place) = places(preface, &user, shared)?;
    let account = account(&user, shared).await?;
    Ok(Admitted { place, identity: Identity { account, _place: account_place }, tag })
}

fn places(preface: &Preface, user: &UserName, shared: &Shared) -> Result<(SessionGuard, AccountGuard), Verdict> {
    let places = shared.limits.connect(preface.client).and_then(|place| Ok((place, shared.limits.log_in(user)?)));
    places.map_err(|refusal| {
        tracing::info!(%refusal, "refused a passed-on connection");
        Verdict::Limit
    })
}

async fn account(user: &UserName, shared: &Shared) -> Result<Account, Verdict> {
    match shared.service.account_or_new(user.as_str()).await {
        Ok(account) => {
            account.reach_last().await;
            Ok(account)
        }
        Err(error) => {
            Counters::count(&shared.counters.failures);
            tracing::error!(error = &error as &dyn std::error::Error, "a passed-on account cannot be opened");
            Err(Verdict::Unavailable)
        }
    }
}

impl Session {
    /// Begins the authenticated state, and answers the command that led to it.
    pub(crate) fn log_in(&mut self, tag: &Tag, identity: Identity) {
        self.state = State::Authenticated(identity);
        self.conn.framer.set_limits(self.shared.config.limits);
        let capabilities = crate::capability::list(self);
        let names: Vec<&str> = capabilities.iter().map(|name| &**name).collect();
        self.writer().ok(tag, Some(Code::Capability(&names)), "Logged in");
    }
}
