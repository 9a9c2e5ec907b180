//! Mail that comes from elsewhere.
//!
//! A [`Source`] is one user's mail as it is somewhere: in files of another server ([`FormatSource`]), or behind a protocol. The crate reads it, and
//! knows no store: what it brings goes to whoever has the data directory open.

mod format;
mod source;

pub use format::FormatSource;
pub use source::{Pending, Piece, Rereading, Source, SourceError, SourceMailbox};
