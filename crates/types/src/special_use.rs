//! Mailboxes with a purpose (RFC 6154).

use serde::{Deserialize, Serialize};

/// A special-use attribute (RFC 6154, 2; `\Important` RFC 8457).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SpecialUse {
    All,
    Archive,
    Drafts,
    Flagged,
    Junk,
    Sent,
    Trash,
    Important,
}

impl SpecialUse {
    /// Each use with its name on the wire.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::All, "\\All"),
        (Self::Archive, "\\Archive"),
        (Self::Drafts, "\\Drafts"),
        (Self::Flagged, "\\Flagged"),
        (Self::Junk, "\\Junk"),
        (Self::Sent, "\\Sent"),
        (Self::Trash, "\\Trash"),
        (Self::Important, "\\Important"),
    ];

    /// `None` for a name that is not a special use.
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(special_use, _)| *special_use)
    }

    /// The attribute as LIST writes it.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(special_use, _)| *special_use == self).map_or("", |(_, name)| name)
    }
}
