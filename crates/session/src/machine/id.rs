//! ID (RFC 2971).

use paquebot_protocol::Tag;
use paquebot_protocol::command::IdPair;

use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers ID. What the client says of itself goes to the log, where operators look for the versions that are in use.
pub(crate) fn id(session: &mut Session, tag: &Tag, fields: Option<&[IdPair]>) -> Flow {
    if let Some(fields) = fields {
        let of = |name: &str| {
            let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
        };
        tracing::info!(client = ?of("name"), version = ?of("version"), os = ?of("os"), "the client's ID");
    }
    let own = [("name", Some("Paquebot")), ("vendor", Some("Paquebot")), ("version", Some(env!("CARGO_PKG_VERSION")))];
    session.writer().id(&own);
    session.complete(tag, Expunges::Tell, None, "ID completed")
}
