//! COPY (RFC 9051, 6.4.7) and MOVE (6.4.8), which differ in their names only.

use crate::{Mailbox, Messages};

/// COPY or MOVE, or their UID forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub messages: Messages,
    pub to: Mailbox,
}
