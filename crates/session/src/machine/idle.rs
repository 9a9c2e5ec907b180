//! IDLE (RFC 9051, 6.3.13).

use paquebot_protocol::{Event, Tag};
use tokio::time::{Instant, sleep_until};

use crate::reading::{moved, stopping};
use crate::session::Session;
use crate::state::{End, Flow, State};
use crate::view::Expunges;

/// What ends a wait.
enum Woken {
    Input(Flow),
    Changed,
    Keepalive,
    Stopping,
    /// The account is not on this machine any more.
    Moved,
}

/// Answers IDLE: tells what changes, when it does, until the client says DONE.
///
/// Without a selected mailbox it waits only. It is not cut for being long: the client shows by TCP, and now and then by the keepalive
/// that is sent, that it is there.
pub(crate) async fn idle(session: &mut Session, tag: &Tag) -> Flow {
    session.writer().continuation("idling");
    session.tell(Expunges::Tell)?;
    session.conn.framer.expect_line();
    let mut keepalive = Instant::now() + session.shared.config.keepalive;
    loop {
        let line = session.conn.next(|event| match event {
            Event::Line(line) => Ok(line.trim_ascii().eq_ignore_ascii_case(b"DONE")),
            Event::Fatal(error) => Err(End::Bye(error.to_string())),
            _ => Err(End::Bye("The server lost its place".into())),
        });
        match line {
            Some(Ok(true)) => return session.complete(tag, Expunges::Tell, None, "IDLE completed"),
            Some(Ok(false)) => return session.bad(Some(tag), "Expected DONE"),
            Some(Err(end)) => return Err(end),
            None => {}
        }
        session.conn.flush().await?;
        match wait(session, keepalive).await {
            Woken::Input(flow) => flow?,
            Woken::Changed => session.tell(Expunges::Tell)?,
            Woken::Keepalive => {
                keepalive = Instant::now() + session.shared.config.keepalive;
                session.writer().untagged_ok(None, "Still here");
            }
            Woken::Stopping => return Err(stopping()),
            Woken::Moved => return Err(moved()),
        }
    }
}

async fn wait(session: &mut Session, keepalive: Instant) -> Woken {
    let Session { conn, state, stopping, .. } = session;
    let hosting = state.identity().map(|identity| identity.account.hosting().clone());
    let moved = async {
        match hosting {
            Some(mut hosting) => hosting.over().await,
            None => std::future::pending().await,
        }
    };
    let changed = async {
        if let State::Selected(_, selected) = state
            && selected.bell.changed().await.is_ok()
        {
            return;
        }
        // Nothing is selected. (A selected mailbox is in use by this session, so its bell is there.)
        std::future::pending().await
    };
    tokio::select! {
        biased;
        filled = conn.fill() => Woken::Input(filled),
        () = changed => Woken::Changed,
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => Woken::Stopping,
        () = moved => Woken::Moved,
        () = sleep_until(keepalive) => Woken::Keepalive,
    }
}
