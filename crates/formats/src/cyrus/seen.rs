//! What a user has seen of a mailbox, by the mailbox's unique id.
//!
//! ```text
//! record = "1" SP last-read SP last-uid SP last-change SP uid-set
//! ```

use paquebot_types::{Uid, UidRange, UidSet};

/// Ranges in a set, at most: a mailbox cannot have more messages seen one by one.
const RANGES_MAX: usize = 1 << 22;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last UID that the user was told of.
    pub last_uid: u32,
    pub uids: UidSet,
}

impl Seen {
    /// `None`: it is no such record.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split(' ');
        let (version, _, last_uid, _) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != "1" {
            return None;
        }
        let set = parts.next().unwrap_or_default().trim_end_matches('\0');
        let ranges: Option<Vec<UidRange>> =
            set.split(',').filter(|range| !range.is_empty()).take(RANGES_MAX).map(range).collect();
        Some(Self { last_uid: last_uid.parse().ok()?, uids: UidSet::from_ranges(ranges?) })
    }
}

fn range(text: &str) -> Option<UidRange> {
    let uid = |text: &str| match text {
        "*" => Some(Uid::MAX),
        digits => digits.parse().ok().and_then(Uid::new),
    };
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    Some(UidRange::new(uid(first)?, uid(last)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_are_read() {
        let seen = Seen::parse(b"1 1795550212 8 1795550209 1:2,5,8").unwrap();
        assert_eq!((seen.last_uid, seen.uids.to_string().as_str()), (8, "1:2,5,8"));
        let none = Seen::parse(b"1 0 0 0 ").unwrap();
        assert_eq!(none, Seen::default());
        for text in ["", "2 0 0 0 1", "1 0 x 0 1", "1 0 0 0 1:x", "1 0 0 0 0"] {
            assert_eq!(Seen::parse(text.as_bytes()), None, "{text}");
        }
    }
}
