//! A password in memory: never printed, wiped when dropped, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest password that is looked at, in bytes. SHA-crypt's work grows with the square of it.
pub const PASSWORD_BYTES_MAX: usize = 512;

/// Bytes that must not reach a log: a password, or a key derived from one.
///
/// `Debug` prints a placeholder and there is no `Display`; the memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for hashing. What is given here must not be kept or printed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both hold the same bytes, in time that depends on their lengths alone.
    pub fn equals(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }

    /// Whether a password of this form may be stored or checked: not empty, no NUL, at most [`PASSWORD_BYTES_MAX`] bytes.
    ///
    /// A NUL would end the password early in every scheme that goes back to C's `crypt`.
    pub fn is_password(&self) -> bool {
        !self.0.is_empty() && self.0.len() <= PASSWORD_BYTES_MAX && !self.0.contains(&0)
    }
}

/// In constant time, as [`Secret::equals`].
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_bytes_nor_their_length() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
        assert_eq!(format!("{:?}", Secret::new("")), "Secret(..)");
    }

    #[test]
    fn equals_compares_all_bytes() {
        let secret = Secret::new("abc");
        assert!(secret.equals(b"abc"));
        assert!(!secret.equals(b"abd"));
        assert!(!secret.equals(b"ab"));
        assert!(!secret.equals(b"abcd"));
    }

    #[test]
    fn a_password_is_bounded_and_has_no_nul() {
        assert!(Secret::new(vec![b'x'; PASSWORD_BYTES_MAX]).is_password());
        for bad in [vec![], b"a\0b".to_vec(), vec![b'x'; PASSWORD_BYTES_MAX + 1]] {
            assert!(!Secret::new(bad).is_password());
        }
    }
}
