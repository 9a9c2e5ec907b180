//! Space: what is kept in reserve, and what expunged mail gives back.

mod ballast;

pub(crate) use ballast::Ballast;
