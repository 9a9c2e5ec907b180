//! Message ids (RFC 5322, 3.6.4) and what threads are built from.

use paquebot_types::ThreadId;

use crate::content::Cursor;
use crate::limits::REFERENCES_MAX;
use crate::structure::{Part, Structure};

/// A message id's hash; equal ids have equal hashes on every machine and in every version.
pub type MessageIdHash = u64;

/// The ids in a field's value: what stands between `<` and `>` with an `@`, without comments, white space and quoting.
pub fn message_ids(value: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut cursor = Cursor::new(value);
    std::iter::from_fn(move || {
        loop {
            cursor.skip_comments();
            match cursor.peek()? {
                b'<' => {
                    cursor.advance(1);
                    let id = bracketed(&mut cursor);
                    if id.contains(&b'@') {
                        return Some(id);
                    }
                }
                b'"' => {
                    cursor.quoted();
                }
                _ => cursor.advance(1),
            }
        }
    })
}

fn bracketed(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut id = Vec::new();
    loop {
        cursor.skip_comments();
        match cursor.peek() {
            None | Some(b'<') => return Vec::new(),
            Some(b'>') => {
                cursor.advance(1);
                return id;
            }
            // Quoted and unquoted forms are one id (RFC 5256, 3).
            Some(b'"') => id.extend_from_slice(&cursor.quoted()),
            Some(byte) => {
                cursor.advance(1);
                id.push(byte);
            }
        }
    }
}

/// The ids of one message, hashed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageIds {
    pub own: Option<MessageIdHash>,
    /// The ids that it answers, the oldest first: of References, or else the first of In-Reply-To (RFC 5256, 3). Of more than
    /// [`REFERENCES_MAX`] the first and the last ones.
    pub references: Vec<MessageIdHash>,
    /// The conversation that it belongs to: of the first id that it refers to, or else of its own.
    pub thread_id: Option<ThreadId>,
}

/// Reads the ids of the message whose root part is `message`.
pub fn read_message_ids(structure: &Structure, message: &Part) -> MessageIds {
    let value = |name| structure.field(message, name).unwrap_or_default();
    let own = message_ids(value("Message-ID")).next();
    let mut references = message_ids(value("References")).peekable();
    let mut hashes = Vec::new();
    let mut root = references.peek().cloned();
    if root.is_some() {
        hashes.extend(references.map(|id| hash(&id)));
        let excess = hashes.len().saturating_sub(REFERENCES_MAX);
        hashes.drain(1.min(hashes.len())..1.min(hashes.len()) + excess);
    } else {
        root = message_ids(value("In-Reply-To")).next();
        hashes.extend(root.as_deref().map(hash));
    }
    let thread_id = root.as_deref().or(own.as_deref()).map(thread_id);
    MessageIds { own: own.as_deref().map(hash), references: hashes, thread_id }
}

fn hash(id: &[u8]) -> MessageIdHash {
    let mut bytes = [0; 8];
    blake3::Hasher::new().update(id).finalize_xof().fill(&mut bytes);
    MessageIdHash::from_le_bytes(bytes)
}

fn thread_id(root: &[u8]) -> ThreadId {
    let mut bytes = [0; 16];
    blake3::Hasher::new().update(root).finalize_xof().fill(&mut bytes);
    ThreadId(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::parse;

    fn ids(header: &str) -> MessageIds {
        let structure = parse(header.as_bytes());
        read_message_ids(&structure, &structure.parts()[0])
    }

    #[test]
    fn ids_are_read_without_their_dress() {
        let found: Vec<_> = message_ids(b"junk <a@b> (<c@d>) <\"e\"@f>\r\n < g @ h > <no-at> <unclosed@x").collect();
        assert_eq!(found, [&b"a@b"[..], b"e@f", b"g@h"]);
        assert_eq!(ids("Message-ID: <\"a\"@b>\n\n").own, ids("Message-ID: <a@b>\n\n").own);
    }

    #[test]
    fn a_conversation_is_named_by_its_first_message() {
        let root = ids("Message-ID: <1@x>\n\n");
        let reply = ids("Message-ID: <2@x>\nIn-Reply-To: <1@x> <9@x>\n\n");
        let late = ids("Message-ID: <3@x>\nReferences: <1@x> <2@x>\nIn-Reply-To: <2@x>\n\n");
        assert_eq!(root.thread_id, reply.thread_id);
        assert_eq!(root.thread_id, late.thread_id);
        assert_eq!(reply.references, [root.own.unwrap()]);
        assert_eq!(late.references, [root.own.unwrap(), reply.own.unwrap()]);
        assert_eq!(ids("Subject: x\n\n"), MessageIds::default());
    }

    #[test]
    fn references_are_bounded_at_their_middle() {
        let many: String = (0..1_000).map(|number| format!(" <{number}@x>\r\n")).collect();
        let found = ids(&format!("References:{many}\r\n"));
        assert_eq!(found.references.len(), REFERENCES_MAX);
        let of = |number: usize| ids(&format!("Message-ID: <{number}@x>\n\n")).own.unwrap();
        assert_eq!((found.references[0], found.references[1], found.references[99]), (of(0), of(901), of(999)));
    }
}
