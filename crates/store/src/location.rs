//! Where bytes lie.

use std::fmt;

/// A pack's number. Packs of the log count up from 1; a pack that holds one large body has a number of its own kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub(crate) u64);

/// A body's place: the start of its entry in a pack, and the body's length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub pack: PackId,
    pub offset: u64,
    pub len: u64,
}

/// A place in the log of packs: between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub pack: PackId,
    pub offset: u64,
}

impl PackId {
    pub(crate) const FIRST: Self = Self(1);
    const SINGLE: u64 = 1 << 63;

    pub(crate) const fn single(number: u64) -> Self {
        Self(number | Self::SINGLE)
    }

    /// Whether the pack holds one body and is no part of the log.
    pub const fn is_single(self) -> bool {
        self.0 & Self::SINGLE != 0
    }

    /// The number without its kind.
    pub const fn number(self) -> u64 {
        self.0 & !Self::SINGLE
    }
}

/// The file's name: `00000007.pack`, `00000007.body`.
impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}.{}", self.number(), if self.is_single() { "body" } else { "pack" })
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for PackId {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let (digits, kind) = name.split_once('.').ok_or(())?;
        let number: u64 = digits.parse().map_err(|_| ())?;
        let pack = match kind {
            "pack" if number > 0 && number < Self::SINGLE => Self(number),
            "body" if number < Self::SINGLE => Self::single(number),
            _ => return Err(()),
        };
        // One name for each pack: `7.pack` and `+0000007.pack` are somebody else's files.
        if pack.to_string() == name { Ok(pack) } else { Err(()) }
    }
}

impl Location {
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.pack.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(number)
        };
        Self { pack: PackId(number(0)), offset: number(8), len: number(16) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for pack in [PackId(1), PackId(123_456_789), PackId::single(0), PackId::single(77)] {
            assert_eq!(pack.to_string().parse(), Ok(pack));
        }
        for name in ["7.pack", "00000007", "00000007.tmp", "0000000x.pack", "+0000007.pack", "00000000.pack", ""] {
            assert_eq!(name.parse::<PackId>(), Err(()), "{name}");
        }
    }

    #[test]
    fn locations_go_there_and_back() {
        let location = Location { pack: PackId::single(3), offset: 64, len: 1 << 40 };
        assert_eq!(Location::from_bytes(&location.to_bytes()), location);
    }
}
