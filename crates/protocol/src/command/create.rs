//! CREATE (RFC 9051, 6.3.4) with USE (RFC 6154, 3).

use paquebot_types::SpecialUse;

use crate::Mailbox;

/// A mailbox to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    pub mailbox: Mailbox,
    /// Whether the name ended in the hierarchy separator: the client means to make mailboxes below it.
    pub for_children: bool,
    /// What `USE` asks for, each once, in order.
    pub special_use: Vec<SpecialUse>,
    /// The first use that is none of ours: `NO [USEATTR]`.
    pub unknown_use: Option<String>,
}
