//! LIST (RFC 9051, 6.3.9: LIST-EXTENDED, RFC 5258; LIST-STATUS, RFC 5819; SPECIAL-USE, RFC 6154), LSUB and XLIST.

use crate::{ListPattern, StatusItem};

/// LIST, LSUB or XLIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub kind: ListKind,
    pub selection: ListSelection,
    /// The patterns, the reference already put before each (RFC 9051, 6.3.9). At least one.
    pub patterns: Vec<ListPattern>,
    /// The one pattern is the empty string in the plain form of the command: tell the separator and the reference's root only.
    pub only_separator: bool,
    /// The extended syntax was used: selection options, a list of patterns, or RETURN.
    pub extended: bool,
    pub returns: ListReturn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    List,
    Lsub,
    /// Gmail's older way to tell special uses.
    Xlist,
}

/// Which mailboxes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSelection {
    pub subscribed: bool,
    /// Remote mailboxes as well; there are none here.
    pub remote: bool,
    /// Parents of those selected too, with CHILDINFO. Never without `subscribed` or `special_use`: the grammar makes sure.
    pub recursive_match: bool,
    pub special_use: bool,
}

/// What is to be told of each mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReturn {
    pub subscribed: bool,
    pub children: bool,
    pub special_use: bool,
    /// A STATUS response for each selectable mailbox, with these items; empty if not asked for.
    pub status: Vec<StatusItem>,
}
