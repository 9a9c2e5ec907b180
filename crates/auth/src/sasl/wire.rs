//! SASL messages on an IMAP line (RFC 9051, 6.2.2): base64, `=` for an empty initial response, `*` for cancel.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{SASL_MESSAGE_BYTES_MAX, SaslError};
use crate::secret::Secret;

/// The longest line that can hold a message.
const LINE_BYTES_MAX: usize = SASL_MESSAGE_BYTES_MAX.div_ceil(3) * 4;

/// A line that the client sent in answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientLine {
    /// `*`: the exchange is over and the command gets BAD.
    Cancel,
    /// Decoded. It may hold a password, so it does not show in `Debug`.
    Message(Secret),
}

/// Reads a line without its CRLF. An empty line is an empty message.
///
/// The base64 is the strict one of RFC 4648: padded, no blanks, no stray bits.
pub fn decode_response(line: &[u8]) -> Result<ClientLine, SaslError> {
    if line == b"*" { Ok(ClientLine::Cancel) } else { decode(line).map(ClientLine::Message) }
}

/// Reads the initial response that stands in the command itself: `=` if it is empty (RFC 4959).
pub fn decode_initial_response(argument: &[u8]) -> Result<Secret, SaslError> {
    if argument == b"=" { Ok(Secret::new([])) } else { decode(argument) }
}

/// A challenge as base64, to stand after `+ `.
pub fn encode_challenge(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}

fn decode(text: &[u8]) -> Result<Secret, SaslError> {
    if text.len() > LINE_BYTES_MAX {
        return Err(SaslError::TooLong);
    }
    let message = Secret::new(STANDARD.decode(text).map_err(|_| SaslError::Base64)?);
    if message.expose().len() > SASL_MESSAGE_BYTES_MAX { Err(SaslError::TooLong) } else { Ok(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_or_a_cancel() {
        assert_eq!(decode_response(b"*"), Ok(ClientLine::Cancel));
        assert_eq!(decode_response(b""), Ok(ClientLine::Message(Secret::new([]))));
        assert_eq!(decode_response(b"AHUAcA=="), Ok(ClientLine::Message(Secret::new(b"\0u\0p"))));
        for bad in ["=", "AHUAcA", "AHUAcA=", "AHUAcB==", "AHUA cA==", "AHUA\r\ncA==", "A*==", "\u{e9}", "**"] {
            assert_eq!(decode_response(bad.as_bytes()), Err(SaslError::Base64), "{bad}");
        }
    }

    #[test]
    fn an_equals_sign_is_an_empty_initial_response() {
        assert_eq!(decode_initial_response(b"="), Ok(Secret::new([])));
        assert_eq!(decode_initial_response(b"dQ=="), Ok(Secret::new("u")));
        assert_eq!(decode_initial_response(b"*"), Err(SaslError::Base64));
    }

    #[test]
    fn debug_shows_no_message() {
        assert_eq!(format!("{:?}", decode_response(b"AHUAcA==")), "Ok(Message(Secret(..)))");
    }

    #[test]
    fn long_lines_are_refused() {
        assert_eq!(
            decode_response(STANDARD.encode(vec![0; SASL_MESSAGE_BYTES_MAX]).as_bytes()),
            Ok(ClientLine::Message(Secret::new(vec![0; SASL_MESSAGE_BYTES_MAX])))
        );
        for bytes in [SASL_MESSAGE_BYTES_MAX + 1, SASL_MESSAGE_BYTES_MAX * 100] {
            assert_eq!(decode_response(STANDARD.encode(vec![0; bytes]).as_bytes()), Err(SaslError::TooLong));
        }
    }
}
