//! THREAD.

use paquebot_protocol::Tag;
use paquebot_protocol::command::Thread;

use crate::session::Session;
use crate::state::Flow;

/// Answers THREAD.
pub(crate) async fn thread(session: &mut Session, tag: &Tag, command: Thread) -> Flow {
    let _ = command;
    session.writer().no(tag, None, "Not yet");
    Ok(())
}
