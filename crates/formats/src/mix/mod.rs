//! mix: a directory with data files of some megabytes, and small files that say what lies where and which flags it has.

mod change;
mod driver;
mod layout;
mod open;

pub use driver::Mix;
