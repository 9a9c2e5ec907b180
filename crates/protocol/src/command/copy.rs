//! COPY (RFC 9051, 6.4.7) and MOVE (6.4.8), which differ in their names only.

use crate::parser::{Parsed, Parser};
use crate::{Mailbox, Messages, NumberKind};

/// COPY or MOVE, or their UID forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub messages: Messages,
    pub to: Mailbox,
}

/// `(COPY / MOVE) SP sequence-set SP mailbox`
pub(super) fn parse(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Copy> {
    parser.space()?;
    let set = parser.message_set()?;
    parser.space()?;
    Ok(Copy { messages: Messages { kind, set }, to: parser.mailbox()? })
}
