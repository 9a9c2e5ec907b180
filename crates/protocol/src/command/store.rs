//! STORE (RFC 9051, 6.4.6) with UNCHANGEDSINCE (RFC 7162, 3.1.3).

use paquebot_types::{Flags, Keyword, ModSeq};

use crate::Messages;

/// STORE or UID STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub messages: Messages,
    pub unchanged_since: Option<ModSeq>,
    pub action: StoreAction,
    /// `.SILENT`: do not tell the new flags.
    pub silent: bool,
    pub flags: Flags,
    /// Each once.
    pub keywords: Vec<Keyword>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}
