//! The locks that other programs take too.

mod dot;
mod file;
mod flock;
mod guard;
mod helper;
pub mod holder;
mod open_file;
mod session;
mod wait;

pub use file::LockFile;
pub use flock::{Flock, Kind};
pub use guard::{Dot, FileGuard, NoGuard, identity, open_quietly};
pub use helper::run_session_lock_helper;
pub use open_file::FileLock;
pub use session::{SESSION_LOCK_ARGUMENT, Session, SessionLockHelper, use_session_lock_helper};
pub use wait::{BRIEF, wait_for};
