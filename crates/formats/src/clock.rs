//! What the clock says, as mailboxes write it.

use std::time::{SystemTime, UNIX_EPOCH};

use paquebot_types::UidValidity;

/// Seconds since 1970; 0 for a clock that is before that.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same in 32 bits, as UIDVALIDITY and other numbers are; the highest once they do not suffice.
pub fn seconds_32() -> u32 {
    u32::try_from(seconds()).unwrap_or(u32::MAX)
}

/// A UIDVALIDITY of now; the highest for a clock that tells none.
pub fn validity() -> UidValidity {
    UidValidity::new(seconds_32()).unwrap_or(UidValidity::MAX)
}
