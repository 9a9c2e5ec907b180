//! Names of bodies, and the identifiers of RFC 8474 that come from them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The BLAKE3 hash of a message body: its name on every machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobHash(pub [u8; 32]);

/// EMAILID (RFC 8474, 5.1): the same for the same bytes, wherever they are copied to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EmailId(pub [u8; 16]);

/// THREADID (RFC 8474, 5.2): the same for the messages of one conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ThreadId(pub [u8; 16]);

impl BlobHash {
    /// The object identifier that follows from the hash: its first 128 bits.
    pub fn email_id(&self) -> EmailId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[..16]);
        EmailId(id)
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

/// Writes `E` and 32 hex digits: an objectid as RFC 8474, 7 has it.
impl fmt::Display for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("E")?;
        hex(&self.0, f)
    }
}

/// Writes `T` and 32 hex digits: an objectid as RFC 8474, 7 has it.
impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("T")?;
        hex(&self.0, f)
    }
}

impl fmt::Debug for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
