//! AUTHENTICATE (RFC 9051, 6.2.2) with SASL-IR (RFC 4959).

use crate::command::Password;

/// AUTHENTICATE with an initial response where there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// The mechanism's name in upper case.
    pub mechanism: String,
    /// Decoded; `=` gives an empty one.
    pub initial: Option<Password>,
}

/// What a client sends after a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslLine {
    /// Decoded from base64; may be empty.
    Response(Password),
    /// `*`: the client gives up; the command is answered with BAD.
    Cancel,
}

/// Parses the line that answers a challenge; `None` for what is neither base64 nor `*`, which is answered with BAD.
pub fn parse_sasl_line(line: &[u8]) -> Option<SaslLine> {
    use base64::Engine as _;
    match line {
        b"*" => Some(SaslLine::Cancel),
        _ => base64::engine::general_purpose::STANDARD
            .decode(line)
            .ok()
            .map(|bytes| SaslLine::Response(Password::new(bytes))),
    }
}
