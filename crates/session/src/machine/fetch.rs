//! FETCH.

use paquebot_protocol::Tag;
use paquebot_protocol::command::Fetch;

use crate::session::Session;
use crate::state::Flow;

/// Answers FETCH.
pub(crate) async fn fetch(session: &mut Session, tag: &Tag, command: Fetch) -> Flow {
    let _ = command;
    session.writer().no(tag, None, "Not yet");
    Ok(())
}
