//! A message's summary: what FETCH of ENVELOPE, BODYSTRUCTURE, BODY and PREVIEW, SORT, THREAD and SEARCH of dates need, and where its
//! sections are. It is made once, at delivery, and kept in the index; opening the message again is for reading it only.

mod read;
mod table;
mod write;

pub use read::{SummaryError, SummaryRef};
pub use write::summarise;

/// The first byte of a summary. Older versions stay readable; a newer one is an error.
const VERSION: u8 = 1;

/// Sort keys are cut here.
const SORT_KEY_BYTES_MAX: usize = 512;

/// The texts of a summary, in their order after the fixed fields. Adding one makes a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Envelope,
    /// Empty where it is the same as the one before; so with the structure.
    EnvelopeUtf8,
    BodyStructure,
    BodyStructureUtf8,
    /// What to leave out of BODYSTRUCTURE for BODY: pairs of numbers, how many bytes to keep and how many to leave out.
    Cuts,
    CutsUtf8,
    Preview,
    Subject,
    From,
    To,
    Cc,
    DisplayFrom,
    DisplayTo,
    /// Hashes of eight bytes.
    References,
    Parts,
}

const TEXTS: usize = 15;

/// Bits of the second byte.
mod flag {
    pub const IS_REPLY: u8 = 1;
    pub const HAS_DATE: u8 = 2;
    pub const HAS_MESSAGE_ID: u8 = 4;
    pub const HAS_THREAD_ID: u8 = 8;
}

/// Adds a number in groups of seven bits, the lowest first.
fn write_number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number from the start of `bytes`.
fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let group = u64::from(byte & 0x7F);
        value |= group << shift;
        if byte & 0x80 == 0 {
            return (group << shift >> shift == group).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
