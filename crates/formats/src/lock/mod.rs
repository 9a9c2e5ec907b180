//! The locks that other programs take too.

mod file;
mod flock;
mod open_file;

pub use file::LockFile;
pub use flock::{Flock, Kind};
pub use open_file::FileLock;
