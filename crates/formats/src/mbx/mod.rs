//! mbx: one file with fields of fixed width, which many sessions change at once.

mod change;
mod driver;
mod layout;
mod open;

pub use driver::Mbx;
