//! SORT.

use paquebot_protocol::Tag;
use paquebot_protocol::command::Sort;

use crate::session::Session;
use crate::state::Flow;

/// Answers SORT.
pub(crate) async fn sort(session: &mut Session, tag: &Tag, command: Sort) -> Flow {
    let _ = command;
    session.writer().no(tag, None, "Not yet");
    Ok(())
}
