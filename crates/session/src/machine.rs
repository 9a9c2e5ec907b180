//! What each command does, one file a command.

use paquebot_protocol::{Command, Tagged};

use crate::session::Session;
use crate::state::Flow;

mod fetch;
mod search;
mod sort;
mod thread;
mod update;

/// Answers a command.
///
/// Each command's future has its own place on the heap while it runs, so that a waiting session is as small as its state.
pub(crate) async fn answer(session: &mut Session, tagged: Tagged) -> Flow {
    let Tagged { tag, command } = tagged;
    match command {
        Command::Fetch(fetch) => Box::pin(fetch::fetch(session, &tag, fetch)).await,
        Command::Search(search) => Box::pin(search::search(session, &tag, search)).await,
        Command::Sort(sort) => Box::pin(sort::sort(session, &tag, sort)).await,
        Command::Thread(thread) => Box::pin(thread::thread(session, &tag, thread)).await,
        _ => Ok(()),
    }
}

/// Serves a connection to its end.
pub async fn serve(_: tokio::net::TcpStream, _: crate::Listener, _: std::sync::Arc<crate::Shared>) {}
