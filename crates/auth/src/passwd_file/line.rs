//! One line of a passwd-file.

use super::LineError;
use crate::credentials::Credentials;
use crate::network::Network;
use crate::password::Scheme;
use crate::source::{Access, Found};
use crate::user_name::UserName;

pub(super) enum Line {
    /// Empty or a comment.
    Nothing,
    /// A user, whose other fields may be unusable: the name stays taken all the same.
    User { name: UserName, found: Result<Found, LineError> },
}

/// `user:password:uid:gid:gecos:home:shell:extra fields`, without its line feed.
pub(super) fn parse_line(line: &[u8], default_scheme: Scheme) -> Result<Line, LineError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line.starts_with(b"#") || line.starts_with(b":") {
        return Ok(Line::Nothing);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    let (name, rest) = text.split_once(':').ok_or(LineError::NoPassword)?;
    let name = UserName::parse(name.as_bytes())?;
    Ok(Line::User { name, found: parse_rest(rest, default_scheme) })
}

fn parse_rest(rest: &str, default_scheme: Scheme) -> Result<Found, LineError> {
    // The seventh field is the last: extra fields may hold colons, as IPv6 addresses do.
    let mut fields = rest.splitn(7, ':');
    let password = fields.next().unwrap_or_default();
    let access = parse_extra_fields(fields.nth(5).unwrap_or_default())?;
    let credentials = Credentials::from_hash(password, default_scheme)?;
    Ok(Found { credentials, access })
}

fn parse_extra_fields(extra: &str) -> Result<Access, LineError> {
    let mut access = Access::default();
    for field in extra.split_ascii_whitespace() {
        match field.split_once('=').unwrap_or((field, "")) {
            // Whatever its value, as in Dovecot.
            ("nologin", _) => access.no_login = true,
            ("allow_nets", list) => access.allow_nets = Some(parse_networks(list)?),
            _ => {}
        }
    }
    Ok(access)
}

/// `local`, Dovecot's word for connections without an address, matches none here.
fn parse_networks(list: &str) -> Result<Vec<Network>, LineError> {
    list.split(',').filter(|item| *item != "local").map(|item| item.parse().map_err(|_| LineError::AllowNets)).collect()
}
