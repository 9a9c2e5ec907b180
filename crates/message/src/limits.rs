//! How much of a message is looked at. Beyond a limit a message is still served whole, byte for byte; only its structure is coarser.

/// Parts may nest this deep (the message itself is depth 0); a multipart or message deeper down is a leaf.
pub const DEPTH_MAX: usize = 100;

/// Parts of one message; what follows the last of them belongs to it.
pub const PARTS_MAX: usize = 10_000;

/// Fields of one header that are looked at.
pub const HEADER_FIELDS_MAX: usize = 10_000;

/// Bytes of one header's fields that are kept for ENVELOPE, BODYSTRUCTURE and THREAD.
pub const HEADER_BYTES_MAX: usize = 1 << 20;

/// Bytes of the fields that are kept of all headers of one message. Summaries grow with them: common ones have 1 KB, and none that was
/// ever made more than some 16 MB.
pub const KEPT_BYTES_MAX: usize = 2 << 20;

/// A longer boundary is taken as none (RFC 2046 allows 70).
pub const BOUNDARY_BYTES_MAX: usize = 998;

/// Parameters of one Content-Type or Content-Disposition.
pub const PARAMETERS_MAX: usize = 1_000;

/// Addresses of one field, group marks included; of a field that comes more than once, the fields up to the one that reaches it count.
pub const ADDRESSES_MAX: usize = 10_000;

/// Message ids of References and In-Reply-To that THREAD looks at: the first one and the last ones.
pub const REFERENCES_MAX: usize = 100;

/// Bytes of the first text part that PREVIEW looks at.
pub const PREVIEW_SOURCE_BYTES_MAX: usize = 32 << 10;

/// Characters of a PREVIEW (RFC 8970, 3.1, allows 256).
pub const PREVIEW_CHARS_MAX: usize = 200;
