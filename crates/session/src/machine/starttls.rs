//! STARTTLS (RFC 9051, 6.2.1).

use paquebot_protocol::{Framer, Tag};

use crate::serve::accept_tls;
use crate::session::Session;
use crate::state::{End, Flow, Modes};

/// Answers STARTTLS and puts the connection under TLS.
///
/// Whatever came after the command in plain text is dropped: someone in between may have put it there, to be taken for the client's own
/// words under TLS.
pub(crate) async fn starttls(session: &mut Session, tag: &Tag) -> Flow {
    if session.conn.stream.tls_connection().is_some() {
        return session.bad(Some(tag), "TLS is active already");
    }
    if session.shared.tls.is_none() {
        return session.bad(Some(tag), "There is no TLS here");
    }
    session.writer().ok(tag, None, "Begin TLS now");
    session.conn.flush().await?;
    session.conn.drop_input();
    session.conn.framer = Framer::new(session.shared.config.limits_before_login);
    session.modes = Modes::default();
    let Some(socket) = session.conn.stream.take_plain() else { return Err(End::Left) };
    match accept_tls(&session.shared, socket, session.login_deadline).await {
        Some(stream) => {
            session.conn.stream = stream;
            Ok(())
        }
        None => Err(End::Left),
    }
}
