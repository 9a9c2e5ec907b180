//! FETCH (RFC 9051, 6.4.5) with CHANGEDSINCE and VANISHED (RFC 7162), BINARY (RFC 3516), OBJECTID (RFC 8474), SAVEDATE (RFC 8514) and
//! PREVIEW (RFC 8970).

use paquebot_types::ModSeq;

use crate::{Messages, Partial, Section};

/// FETCH or UID FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub messages: Messages,
    /// In the order asked, doubles dropped, macros written out. At least one.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE; 0 is taken, as iOS Mail sends it.
    pub changed_since: Option<ModSeq>,
    /// VANISHED was asked for. Only UID FETCH with CHANGEDSINCE has it, the grammar makes sure; that QRESYNC is enabled does the session.
    pub vanished: bool,
}

/// One thing to be told about each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    Flags,
    Uid,
    InternalDate,
    Rfc822Size,
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    BodyStructure,
    ModSeq,
    EmailId,
    ThreadId,
    SaveDate,
    Preview {
        /// The client would rather have NIL than wait.
        lazy: bool,
    },
    /// RFC822: `BODY[]` by another name; sets `\Seen`.
    Rfc822,
    /// RFC822.HEADER: `BODY.PEEK[HEADER]` by another name.
    Rfc822Header,
    /// RFC822.TEXT: `BODY[TEXT]` by another name; sets `\Seen`.
    Rfc822Text,
    /// `BODY[section]` and `BODY.PEEK[section]`.
    Section {
        section: Section,
        peek: bool,
        partial: Option<Partial>,
    },
    /// `BINARY[part]` and `BINARY.PEEK[part]`; an empty path means the whole message.
    Binary {
        part: Vec<u32>,
        peek: bool,
        partial: Option<Partial>,
    },
    BinarySize {
        part: Vec<u32>,
    },
}

impl FetchItem {
    /// Whether asking for it sets `\Seen` (RFC 9051, 6.4.5; RFC 3516, 4.2).
    pub fn sets_seen(&self) -> bool {
        matches!(
            self,
            Self::Rfc822 | Self::Rfc822Text | Self::Section { peek: false, .. } | Self::Binary { peek: false, .. }
        )
    }
}
