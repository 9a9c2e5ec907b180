//! ENABLE (RFC 9051, 6.3.1; RFC 5161).

use paquebot_protocol::Tag;

use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers ENABLE. Names that are unknown are passed over; those that are on, whether by this command or before, are told, as clients take
/// what is not told for missing.
pub(crate) fn enable(session: &mut Session, tag: &Tag, names: &[String]) -> Flow {
    let mut enabled: Vec<&str> = Vec::new();
    for name in names {
        match name.as_str() {
            "CONDSTORE" => session.enable_condstore(),
            "QRESYNC" => {
                session.enable_condstore();
                session.modes.qresync = true;
            }
            "UTF8=ACCEPT" => session.modes.utf8_accept = true,
            "IMAP4REV2" => session.modes.rev2 = true,
            _ => continue,
        }
        if !enabled.contains(&name.as_str()) {
            enabled.push(name);
        }
    }
    let enabled = enabled.into_iter().map(|name| if name == "IMAP4REV2" { "IMAP4rev2" } else { name });
    let enabled: Vec<&str> = enabled.collect();
    session.writer().enabled(enabled);
    session.complete(tag, Expunges::Tell, None, "ENABLE completed")
}
