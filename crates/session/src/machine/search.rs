//! SEARCH.

use paquebot_protocol::Tag;
use paquebot_protocol::command::Search;

use crate::session::Session;
use crate::state::Flow;

/// Answers SEARCH.
pub(crate) async fn search(session: &mut Session, tag: &Tag, command: Search) -> Flow {
    let _ = command;
    session.writer().no(tag, None, "Not yet");
    Ok(())
}
