//! LOGIN (RFC 9051, 6.2.3), and how every login ends.

use std::time::Instant;

use paquebot_auth::{AuthResult, Secret, UserName};
use paquebot_protocol::Tag;
use paquebot_protocol::command::Login;
use paquebot_protocol::response::Code;

use crate::answer::Named;
use crate::pass_on::{Served, pass_on};
use crate::reading::bounded;
use crate::session::Session;
use crate::shared::Counters;
use crate::state::{End, Flow, Identity};
use crate::view::Expunges;

/// Answers LOGIN.
pub(crate) async fn login(session: &mut Session, tag: &Tag, command: Login) -> Flow {
    if !session.takes_passwords() {
        session.writer().no(tag, Some(Code::PrivacyRequired), "A password is taken under TLS only");
        return Ok(());
    }
    let password = Secret::new(command.password.into_bytes());
    match command.user.parse::<UserName>() {
        Ok(user) => verify(session, tag, user, password).await,
        Err(error) => {
            tracing::debug!(%error, "no user name");
            deny(session, tag, None).await
        }
    }
}

/// Checks a password and answers the command.
pub(super) async fn verify(session: &mut Session, tag: &Tag, user: UserName, password: Secret) -> Flow {
    wait_for_turn(session, Some(&user)).await;
    let authenticator = session.shared.authenticator.clone();
    match authenticator.verify(user.clone(), password, session.conn.peer).await {
        AuthResult::Success { user } => admit(session, tag, user).await,
        AuthResult::Refused(refusal) => {
            tracing::info!(user = user.as_str(), %refusal, "login refused");
            count_failure(session, tag, Some(&user))
        }
        AuthResult::Unavailable(error) => unavailable(session, tag, &error),
    }
}

/// Waits as long as earlier failures demand.
pub(super) async fn wait_for_turn(session: &Session, user: Option<&UserName>) {
    let Some(peer) = session.conn.peer else { return };
    let delay = session.shared.throttle.delay(peer, user, Instant::now());
    tokio::time::sleep(bounded(delay, session.login_deadline)).await;
}

/// Answers a login that fails before any password is looked at.
pub(super) async fn deny(session: &mut Session, tag: &Tag, user: Option<&UserName>) -> Flow {
    wait_for_turn(session, user).await;
    count_failure(session, tag, user)
}

/// Counts and answers a failure, with the same words whatever the reason.
pub(super) fn count_failure(session: &mut Session, tag: &Tag, user: Option<&UserName>) -> Flow {
    Counters::count(&session.shared.counters.login_failures);
    if let Some(peer) = session.conn.peer {
        session.shared.throttle.failed(peer, user, Instant::now());
    }
    session.failed_logins += 1;
    session.writer().no(tag, Some(Code::AuthenticationFailed), "Wrong user name or password");
    if session.failed_logins >= session.shared.config.failed_logins_max {
        return Err(End::Bye("Too many failed logins".into()));
    }
    Ok(())
}

/// Answers a login that nobody can judge now.
pub(super) fn unavailable(session: &mut Session, tag: &Tag, error: &paquebot_auth::SourceError) -> Flow {
    Counters::count(&session.shared.counters.failures);
    tracing::error!(error = error as &(dyn std::error::Error + 'static), "cannot look users up");
    session.writer().no(tag, Some(Code::Unavailable), "Users cannot be looked up now; try again later");
    Ok(())
}

/// Lets a user in whose password or proof was right.
pub(super) async fn admit(session: &mut Session, tag: &Tag, user: UserName) -> Flow {
    if let Some(peer) = session.conn.peer {
        session.shared.throttle.succeeded(peer, &user, Instant::now());
    }
    let place = match session.shared.limits.log_in(&user) {
        Ok(place) => place,
        Err(refusal) => {
            tracing::info!(user = user.as_str(), %refusal, "login refused");
            session.writer().no(tag, Some(Code::Limit), &crate::answer::sentence(&refusal.to_string()));
            return Ok(());
        }
    };
    let place = match pass_on(session, tag, &user, place).await? {
        Served::Here(place) => place,
        Served::Refused => return Ok(()),
    };
    let account = match session.shared.service.account_or_new(user.as_str()).await {
        Ok(account) => account,
        Err(error) => return session.not_changed(tag, &error, Expunges::Hold, Named::Itself),
    };
    account.reach_last().await;
    Counters::count(&session.shared.counters.logins);
    tracing::Span::current().record("user", user.as_str());
    tracing::info!("logged in");
    session.log_in(tag, Identity { account, _place: place });
    Ok(())
}
