//! Numbers that must not be mistaken for one another.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

macro_rules! nonzero {
    ($(#[$doc:meta])* $name:ident, $inner:ident, $plain:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The smallest value, 1.
            pub const MIN: Self = Self($inner::MIN);
            /// The largest value of the underlying integer.
            pub const MAX: Self = Self($inner::MAX);

            /// `None` for 0.
            pub const fn new(value: $plain) -> Option<Self> {
                match $inner::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The value as a plain integer, never 0.
            pub const fn get(self) -> $plain {
                self.0.get()
            }

            /// The next value, `None` past the largest.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

macro_rules! plain {
    ($(#[$doc:meta])* $name:ident, $inner:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

nonzero! {
    /// A message's unique identifier within a mailbox and its UIDVALIDITY (RFC 9051, 2.3.1.1).
    Uid, NonZeroU32, u32
}
nonzero! {
    /// The validity value of a mailbox's UIDs (RFC 9051, 2.3.1.1).
    UidValidity, NonZeroU32, u32
}
nonzero! {
    /// A message's place in one session's view, from 1; never stored (RFC 9051, 2.3.1.2).
    SeqNum, NonZeroU32, u32
}
nonzero! {
    /// An account's number, the same on every node; given out by the system shard.
    AccountId, NonZeroU32, u32
}
nonzero! {
    /// A mailbox's number within its account. It survives RENAME and is never used again.
    MailboxId, NonZeroU32, u32
}
nonzero! {
    /// A message body's number within its account, in the order of arrival. It names one body for ever.
    BlobId, NonZeroU64, u64
}
plain! {
    /// A mod-sequence: 63 bits; 0 is before any change (RFC 7162, 3.1.1).
    ModSeq, u64
}
plain! {
    /// A position in a shard's log; 0 is before the first record.
    Sequence, u64
}
plain! {
    /// A shard: accounts that share one ordered log.
    ShardId, u16
}

impl ModSeq {
    /// Before any change.
    pub const ZERO: Self = Self(0);
    /// The largest mod-sequence that the protocol can carry (RFC 7162, 3.1).
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The one after this. A mailbox would need 292 years at one change a nanosecond to reach the end, where it stays.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1).min(Self::MAX.0))
    }
}

impl Sequence {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl ShardId {
    /// Users, passwords and settings: every node hosts it.
    pub const SYSTEM: Self = Self(0);
    /// Where the accounts of a single machine live.
    pub const FIRST: Self = Self(1);
}
