//! ID (RFC 2971).

/// The most fields that a client may name (RFC 2971, 3.3).
pub const ID_PAIRS_MAX: usize = 30;
/// The longest field name, in octets.
pub const ID_KEY_BYTES_MAX: usize = 30;
/// The longest value, in octets.
pub const ID_VALUE_BYTES_MAX: usize = 1024;

/// A field and its value, `None` for NIL. What is not UTF-8 was replaced by U+FFFD; control characters are the reader's to escape.
pub type IdPair = (String, Option<String>);
