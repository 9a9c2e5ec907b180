//! What tells a delivery that is tried again from another message.
//!
//! A mail server that did not hear the answer sends the same octets again, to the same recipient, from the same sender. Two messages that merely look alike
//! differ in at least one `Received` field, since whoever takes a message on writes one with a name and a time of its own (RFC 5321, 4.4). So of a message
//! without any `Received` it cannot be told, and such a one is delivered as often as it comes.

use paquebot_model::DeliveryKey;

use crate::protocol::address::Address;

/// The field that makes messages differ, in lower case.
const NAME: &[u8] = b"received";
/// What the digests are of: they never equal those of something else.
const CONTEXT: &str = "paquebot 2026-11 delivery key";

/// Sees a message's octets as they come, in pieces of any size.
pub struct Once {
    hasher: blake3::Hasher,
    header: Header,
}

/// How far the search for the field has come.
enum Header {
    /// In a line of which these octets of the name have matched; `None` where they have not.
    Line(Option<usize>),
    /// In an empty line's CR, or what may be one.
    Cr,
    /// The header has ended without the field.
    Ended,
    Found,
}

/// What a message's octets and sender are, to make its recipients' keys of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageDigest([u8; 32]);

impl Once {
    /// Begins with who sent the message. What he said of its size or encoding does not matter.
    pub fn new(sender: Option<&Address>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let sender = sender.map(Address::to_string).unwrap_or_default();
        hasher.update(&(sender.len() as u64).to_be_bytes()).update(sender.as_bytes());
        Self { hasher, header: Header::Line(Some(0)) }
    }

    /// Takes the message's next octets, as they came.
    pub fn push(&mut self, octets: &[u8]) {
        self.hasher.update(octets);
        let mut rest = octets;
        while let Some((&octet, after)) = rest.split_first() {
            (self.header, rest) = match self.header {
                Header::Ended | Header::Found => return,
                Header::Cr if octet == b'\n' => (Header::Ended, after),
                Header::Line(Some(0)) if octet == b'\n' => (Header::Ended, after),
                Header::Line(Some(0)) if octet == b'\r' => (Header::Cr, after),
                Header::Line(Some(matched)) if matched == NAME.len() => match octet {
                    b':' => (Header::Found, after),
                    // White space before the colon is obsolete, and read (RFC 5322, 4.5).
                    b' ' | b'\t' => (Header::Line(Some(matched)), after),
                    _ => (Header::Line(None), rest),
                },
                Header::Line(Some(matched)) if NAME.get(matched) == Some(&octet.to_ascii_lowercase()) => {
                    (Header::Line(Some(matched + 1)), after)
                }
                Header::Line(_) | Header::Cr => match memchr::memchr(b'\n', rest) {
                    Some(end) => (Header::Line(Some(0)), rest.get(end + 1..).unwrap_or_default()),
                    None => (Header::Line(None), &[][..]),
                },
            };
        }
    }

    /// Ends the message; `None` if it cannot be told from another that looks alike.
    pub fn finish(self) -> Option<MessageDigest> {
        matches!(self.header, Header::Found).then(|| MessageDigest(*self.hasher.finalize().as_bytes()))
    }
}

impl MessageDigest {
    /// The key of the delivery to a recipient, as he was given.
    pub fn key(&self, recipient: &Address) -> DeliveryKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(recipient.to_string().as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        DeliveryKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(sender: &str, message: &[u8], size: usize) -> Option<MessageDigest> {
        let sender = Address::parse_path(sender).unwrap().0;
        let mut once = Once::new(sender.as_ref());
        message.chunks(size.max(1)).for_each(|piece| once.push(piece));
        once.finish()
    }

    #[test]
    fn only_a_message_with_received_can_be_told() {
        let table: [(&[u8], bool); 12] = [
            (b"Received: x\r\n\r\nbody", true),
            (b"A: b\r\nRECEIVED \t: x\r\n\r\n", true),
            (b"A: b\nreceived:", true),
            (b"A: b\r\n\r\nReceived: x\r\n", false),
            (b"A: b\n\nReceived: x\r\n", false),
            (b"\r\nReceived: x\r\n", false),
            (b"A: b\r\n Received: x\r\n\r\n", false),
            (b"X-Received: x\r\n\r\n", false),
            (b"Received-SPF: x\r\n\r\n", false),
            (b"Receive: x\r\n\r\n", false),
            (b"Received\r\nA: x\r\n\r\n", false),
            (b"", false),
        ];
        for (message, expected) in table {
            for size in 1..=message.len().max(1) {
                let told = digest("<a@b>", message, size).is_some();
                assert_eq!(told, expected, "{} in pieces of {size}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn keys_differ_by_sender_recipient_and_octets_and_not_by_cuts() {
        let (bob, anna) = ["<bob@x>", "<anna@x>"].map(|path| Address::parse_path(path).unwrap().0.unwrap()).into();
        let message = b"Received: by x id 1\r\n\r\nbody";
        let key = digest("<a@b>", message, 1).unwrap().key(&bob);
        assert_eq!(digest("<a@b>", message, usize::MAX).unwrap().key(&bob), key);
        assert_ne!(digest("<a@b>", message, 1).unwrap().key(&anna), key);
        assert_ne!(digest("<>", message, 1).unwrap().key(&bob), key);
        assert_ne!(digest("<a@b>", b"Received: by x id 2\r\n\r\nbody", 1).unwrap().key(&bob), key);
    }
}
