//! Space: what is kept in reserve, and what expunged mail gives back.

mod ballast;
mod reclaim;

pub(crate) use ballast::Ballast;
pub(crate) use reclaim::Grave;
pub use reclaim::{Budget, ReclaimError, Reclaimed};
