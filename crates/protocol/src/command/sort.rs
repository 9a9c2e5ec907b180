//! SORT (RFC 5256) with RETURN (RFC 5267, 3).

use crate::NumberKind;
use crate::command::{ReturnOptions, SearchKey};

/// SORT or UID SORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    pub kind: NumberKind,
    /// ESORT's RETURN; `None`: answer with `SORT`.
    pub returns: Option<ReturnOptions>,
    /// At least one; ties go to the next, and at last to the sequence number.
    pub criteria: Vec<SortCriterion>,
    /// In upper case; of all texts in `keys`.
    pub charset: String,
    pub keys: SearchKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    pub key: SortKey,
    pub reverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    From,
    Size,
    Subject,
    To,
}
