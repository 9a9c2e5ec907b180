//! What the server says that it can do.

use std::borrow::Cow;

use paquebot_auth::MechanismName;

use crate::session::Session;
use crate::state::State;

/// What every session has. IMAP4rev1 comes first, as clients expect it.
const ALWAYS: &[&str] = &["IMAP4rev1", "IMAP4rev2"];

/// What can be used before login as well as after it.
const BOTH: &[&str] = &["SASL-IR", "ENABLE", "ID"];

const AFTER_LOGIN: &[&str] = &[
    "BINARY",
    "CHILDREN",
    "CONDSTORE",
    "CREATE-SPECIAL-USE",
    "ESEARCH",
    "ESORT",
    "IDLE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "MOVE",
    "MULTIAPPEND",
    "NAMESPACE",
    "OBJECTID",
    "PREVIEW",
    "QRESYNC",
    "SAVEDATE",
    "SEARCHRES",
    "SORT",
    "SORT=DISPLAY",
    "SPECIAL-USE",
    "STATUS=SIZE",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "UIDPLUS",
    "UNAUTHENTICATE",
    "UNSELECT",
    "UTF8=ACCEPT",
    "WITHIN",
    "XLIST",
];

/// The capabilities of a session as it is now (RFC 9051, 6.1.1).
pub(crate) fn list(session: &Session) -> Vec<Cow<'static, str>> {
    let mut list: Vec<Cow<'static, str>> = ALWAYS.iter().copied().map(Cow::Borrowed).collect();
    let limits = &session.shared.config.limits;
    // RFC 7888, 5: LITERAL- is the same with a bound.
    list.push(if limits.nonsync_bytes == u64::MAX { "LITERAL+".into() } else { "LITERAL-".into() });
    list.extend(BOTH.iter().copied().map(Cow::Borrowed));
    if let State::NotAuthenticated = session.state {
        if session.shared.tls.is_some() && !session.conn.stream.is_tls() {
            list.push("STARTTLS".into());
        }
        if !session.takes_passwords() {
            list.push("LOGINDISABLED".into());
        }
        list.extend(mechanisms(session).map(|name| Cow::Owned(format!("AUTH={}", name.as_str()))));
        return list;
    }
    // Who another node passed on was logged in there, and cannot log in as somebody else here.
    let offered = |name: &&str| *name != "UNAUTHENTICATE" || !session.conn.stream.is_passed_on();
    list.extend(AFTER_LOGIN.iter().copied().filter(offered).map(Cow::Borrowed));
    list.push(Cow::Owned(format!("APPENDLIMIT={}", limits.append_bytes)));
    if session.shared.config.compress && !session.conn.stream.is_compressed() {
        list.push("COMPRESS=DEFLATE".into());
    }
    list
}

/// The mechanisms that this connection may use.
pub(crate) fn mechanisms(session: &Session) -> impl Iterator<Item = MechanismName> {
    let takes_passwords = session.takes_passwords();
    let can_bind = session.channel_bindings().any();
    MechanismName::ALL.into_iter().filter(move |name| match name {
        MechanismName::ScramSha256Plus => can_bind,
        name => takes_passwords || !name.sends_password(),
    })
}
