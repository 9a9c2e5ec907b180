//! The server is killed, starved of disk and failed by its disk, and nothing that it told anybody may turn out untrue.
//!
//! - [`kills`]: clients work on one account while the process gets SIGKILL again and again. Everything that they ask and hear is a
//!   [`history`]; [`check`] reads it for each promise that the server makes, and says what was broken and by which answers.
//! - [`broken`]: histories that break each promise, to see that the check sees it.
//! - [`full_disk`]: no room left. [`io_error`]: the disk says that it could not flush.

mod broken;
mod check;
mod full_disk;
mod history;
mod io_error;
mod kills;
mod lmtp;
mod message;
mod names;
mod random;
mod session;
mod wire;
mod worker;
