//! THREAD (RFC 5256).

use crate::NumberKind;
use crate::command::SearchKey;

/// THREAD or UID THREAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub kind: NumberKind,
    pub algorithm: ThreadAlgorithm,
    /// In upper case; of all texts in `keys`.
    pub charset: String,
    pub keys: SearchKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    OrderedSubject,
    References,
}
