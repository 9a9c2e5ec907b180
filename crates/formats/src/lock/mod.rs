//! The locks that other programs take too.

mod file;
mod flock;

pub use file::LockFile;
pub use flock::{Flock, Kind};
