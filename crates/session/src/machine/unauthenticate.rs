//! UNAUTHENTICATE (RFC 8437).

use paquebot_protocol::Tag;
use paquebot_protocol::response::Code;
use tokio::time::Instant;

use crate::session::Session;
use crate::state::{Flow, Modes, State};
use crate::view::Expunges;

/// Answers UNAUTHENTICATE: the session is as after the connection, TLS excepted. A selected mailbox is left without expunging anything,
/// and compression ends with the answer (RFC 8437, 3).
///
/// A connection that another node has passed on does not offer it: the login belongs to that node, which only carries octets any more.
pub(crate) async fn unauthenticate(session: &mut Session, tag: &Tag) -> Flow {
    if session.conn.stream.is_passed_on() {
        return session.refuse(tag, Expunges::Tell, Some(Code::Cannot), "Connect anew to log in as somebody else");
    }
    session.writer().ok(tag, None, "Unauthenticated");
    session.conn.flush().await?;
    session.conn.stop_compressing();
    session.state = State::NotAuthenticated;
    session.modes = Modes::default();
    session.login_deadline = Instant::now() + session.shared.config.login_timeout;
    session.conn.framer.set_limits(session.shared.config.limits_before_login);
    tracing::Span::current().record("user", tracing::field::Empty);
    tracing::info!("unauthenticated");
    Ok(())
}
